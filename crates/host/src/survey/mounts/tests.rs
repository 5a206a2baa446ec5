use super::*;

fn bind(source: &str) -> ContainerMount {
    ContainerMount {
        kind: "bind".into(),
        volume: None,
        driver: None,
        source: source.into(),
        destination: "/data".into(),
        writable: true,
    }
}

fn named(name: &str) -> ContainerMount {
    ContainerMount { kind: "volume".into(), volume: Some(name.into()), ..bind("/v/x/_data") }
}

fn volume(driver: &str, options: &[(&str, &str)]) -> Volume {
    Volume {
        name: "x".into(),
        driver: driver.into(),
        mountpoint: "/v/x/_data".into(),
        options: options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        ..Volume::default()
    }
}

fn data(name: &str, kind: MountKind, source: &str, service: &str) -> DataMount {
    DataMount {
        name: name.into(),
        kind,
        source: source.into(),
        destination: "/data".into(),
        services: vec![service.into()],
        bytes: 0,
        files: 0,
        reach: Reach::Direct,
    }
}

fn root() -> (&'static Path, bool) {
    (Path::new("/var/lib/docker"), true)
}

fn place(name: &str, kind: MountKind, source: &str, service: &str) -> Place {
    Place { mount: data(name, kind, source, service), why: None, container: "one".into() }
}

#[test]
fn what_the_service_can_write_is_data() {
    let v = volume("local", &[]);
    assert!(
        matches!(sort("a", &named("x"), Some(&v), root()), Sorted::Data(m) if m.kind == MountKind::Volume)
    );
    let anonymous = named(&"a1".repeat(32));
    assert!(
        matches!(sort("a", &anonymous, Some(&v), root()), Sorted::Data(m) if m.kind == MountKind::Anonymous)
    );
    assert!(matches!(sort("a", &bind("/srv/x"), None, root()), Sorted::Data(m) if m.kind == MountKind::Bind));
    let read_only = ContainerMount { writable: false, ..bind("/srv/x") };
    assert!(matches!(sort("a", &read_only, None, root()), Sorted::NoData));
}

#[test]
fn what_belongs_to_the_system_is_not() {
    for source in
        ["/proc", "/sys/fs/cgroup", "/dev/dri", "/var/run/docker.sock", "/etc/localtime", "/dev/null"]
    {
        assert!(matches!(sort("a", &bind(source), None, root()), Sorted::NoData), "{source}");
    }
    let tmpfs = ContainerMount { kind: "tmpfs".into(), ..bind("") };
    assert!(matches!(sort("a", &tmpfs, None, root()), Sorted::NoData));
}

#[test]
fn what_can_not_be_read_is_unsupported() {
    let reason = |mount: &ContainerMount, volume: Option<&Volume>| match sort("a", mount, volume, root()) {
        Sorted::Unsupported(u) => u.reason,
        _ => String::new(),
    };
    assert!(reason(&named("x"), Some(&volume("rexray", &[]))).contains("rexray"));
    let nfs = volume("local", &[("type", "nfs"), ("o", "addr=10.0.0.1"), ("device", ":/export")]);
    assert!(reason(&named("x"), Some(&nfs)).contains("nfs"));
    assert!(reason(&bind("/"), None).contains("engine"));
    assert!(reason(&bind("/var/lib"), None).contains("engine"));
}

#[test]
fn a_volume_that_binds_a_directory_is_that_directory() {
    let v = volume("local", &[("type", "none"), ("o", "bind"), ("device", "/srv/data")]);
    assert_eq!(volume_source(&v).unwrap(), Path::new("/srv/data"));
    assert_eq!(volume_source(&volume("local", &[])).unwrap(), Path::new("/v/x/_data"));
}

#[test]
fn one_entry_a_source_and_none_inside_another() {
    let mut all = Vec::new();
    merge(&mut all, place("x", MountKind::Volume, "/v/x", "app"));
    merge(&mut all, place("x", MountKind::Volume, "/v/x", "worker"));
    merge(&mut all, place("/v/x/sub", MountKind::Bind, "/v/x/sub", "cron"));
    merge(&mut all, place("/v/xy", MountKind::Bind, "/v/xy", "app"));
    drop_nested(&mut all);
    assert_eq!(all.len(), 2);
    assert_eq!(all[0].mount.services, ["app", "worker", "cron"]);
}

#[test]
fn sharers_use_the_same_volume_or_overlapping_directories() {
    let other =
        |name: &str, mount: ContainerMount| Other { name: name.into(), service: None, mounts: vec![mount] };
    let others = [
        other("same", named("x")),
        other("part", bind("/v/x/_data/sub")),
        other("parent", ContainerMount { writable: false, ..bind("/v") }),
        other("beside", bind("/v/xx")),
        other("none", named("y2")),
    ];
    let mut others = others;
    others[4].mounts[0].source = "/v/y2/_data".into();
    others[0].mounts[0].source = "".into();
    let found = sharers(&data("x", MountKind::Volume, "/v/x/_data", "app"), &others);
    let names: Vec<(&str, bool)> = found.iter().map(|s| (s.container.as_str(), s.writable)).collect();
    assert_eq!(names, [("parent", false), ("part", true), ("same", true)]);
}
