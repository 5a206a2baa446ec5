use super::*;
use crate::archive::Archive;

fn file(path: &str, content: &str) -> Entry {
    let what = What::File { size: content.len() as u64, blake3: String::new() };
    Entry { what, ..dir(path) }
}

fn dir(path: &str) -> Entry {
    let mtime = Stamp(-5, 250_000_000);
    let xattrs = vec![Xattr { name: "user.a=%3D".into(), value: b"\0\n=".to_vec() }];
    Entry {
        path: path.into(),
        what: What::Dir,
        mode: 0o4711,
        uid: 70_000,
        gid: 4_000_000,
        mtime,
        ctime: mtime,
        ino: 0,
        dev: 0,
        links: 2,
        allocated: u64::MAX,
        racy: None,
        xattrs,
        hardlink: None,
    }
}

fn archive(entries: &[(Entry, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = Archive::new(&mut bytes);
    for (entry, content) in entries {
        archive.entry(entry, Path::new("data")).unwrap();
        archive.content(content.as_bytes()).unwrap();
        archive.pad().unwrap();
    }
    archive.finish().unwrap();
    bytes
}

fn read(bytes: &[u8]) -> io::Result<Vec<(Entry, String)>> {
    let mut all = Vec::new();
    each(bytes, |entry, content| {
        let mut text = String::new();
        content.read_to_string(&mut text)?;
        all.push((Entry { ino: 0, ..entry }, text));
        Ok(())
    })?;
    Ok(all)
}

#[test]
fn what_is_written_is_read() {
    let link = Entry { what: What::Symlink { target: "/x".into() }, ..dir("link") };
    let device = Entry { what: What::Char { device: rustix::fs::makedev(1, 3) }, ..dir("null") };
    let long = format!("deep/\n{}", "l".repeat(200));
    let wanted = [
        (dir(""), ""),
        (dir("deep"), ""),
        (file("deep/a\nb=\\", "one"), "one"),
        (file(&long, ""), ""),
        (link, ""),
        (device, ""),
    ];
    let read = read(&archive(&wanted)).unwrap();
    let read: Vec<_> = read.iter().map(|(entry, content)| (entry.clone(), content.as_str())).collect();
    assert_eq!(read, wanted);
    assert_eq!(self::read(&archive(&[(file("", "alone"), "alone")])).unwrap()[0].1, "alone");
}

#[test]
fn further_names_have_what_the_first_one_has() {
    let second = Entry { hardlink: Some("a".into()), ..file("b", "one") };
    let bytes = archive(&[(dir(""), ""), (file("a", "one"), "one"), (second, "")]);
    let read = read(&bytes).unwrap();
    assert_eq!(read[2].0.hardlink.as_deref(), Some(Path::new("a")));
    assert_eq!((read[2].0.size(), read[2].0.mode), (3, 0o4711));
    let lost = Entry { hardlink: Some("c".into()), ..file("b", "one") };
    assert!(self::read(&archive(&[(dir(""), ""), (lost, "")])).is_err());
}

#[test]
fn an_archive_is_counted_within_its_time() {
    let second = Entry { hardlink: Some("a".into()), ..file("b", "one") };
    let bytes = archive(&[(dir(""), ""), (file("a", "one"), "one"), (second, ""), (file("c", "12"), "12")]);
    assert_eq!(sizes(&*bytes, Duration::from_secs(60)).unwrap(), (3, 5));
    assert!(sizes(&*bytes, Duration::ZERO).is_err());
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_an_error() {
    let bytes = archive(&[(dir(""), ""), (file("a", &"\0".repeat(2048)), &"\0".repeat(2048))]);
    assert!(read(&bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
    }
}

#[test]
fn nothing_leads_out_of_the_top_or_through_what_is_no_directory() {
    for path in ["../a", "deep/../../a", "none/a", "file/a", "deep"] {
        let entries = [(dir(""), ""), (dir("deep"), ""), (file("file", ""), ""), (file(path, ""), "")];
        assert!(read(&archive(&entries)).is_err(), "{path}");
    }
}

#[test]
fn times_are_read_as_they_are_written() {
    for (text, expected) in [
        ("-10", Stamp(-10, 0)),
        ("-4.000000001", Stamp(-5, 999_999_999)),
        ("-0.500000000", Stamp(-1, 500_000_000)),
        ("5.5", Stamp(5, 500_000_000)),
        ("7", Stamp(7, 0)),
    ] {
        assert_eq!(stamp(text), Some(expected), "{text}");
    }
    assert_eq!(stamp("soon"), None);
}
