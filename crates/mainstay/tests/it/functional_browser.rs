//! Pages in a real browser: what is new on them decides, and pictures are kept.
//!
//! Every version of the site is the same image under another tag; the page is made from the tag.

use std::path::Path;

use crate::lab::process::Run;
use crate::lab::{Lab, built, net};

const SITE: &str = "server { listen 80; root /srv; location = /secret { return 403; } }\n";

/// A site whose page has `scripts[n - 1]` on it in version `n`.
fn site(scripts: &[&str], check: &str) -> Lab {
    let mut lab = Lab::of(&[("compose.yaml", ""), ("site.conf", SITE), (".env", "V=1\n")]);
    let repository = format!("test/{}", lab.project);
    let own = format!("127.0.0.1:5000/{repository}");
    for version in 1..=scripts.len() {
        net::publish_as(("nginx", &built("NGINX")), &repository, &version.to_string());
        let page =
            format!("<!doctype html><title>site</title><h1>Site {version}</h1>{}", scripts[version - 1]);
        lab.write(&format!("page.{version}"), &page);
    }
    let text = format!(
        "services:\n  web:\n    image: {own}:${{V}}\n    entrypoint: [\"sh\", \"-c\", \"cp /pages/page.$$V \
         /srv/index.html && echo in >/srv/flag && exec nginx -g 'daemon off;'\"]\n    environment: {{V: \"${{V}}\"}}\n    tmpfs: [/srv]\n    \
         volumes: [\"./:/pages:ro\", \"./site.conf:/etc/nginx/conf.d/site.conf:ro\", \"data:/data\"]\n    \
         ports: [\"127.0.0.1:{}:80\"]\nvolumes: {{data: {{}}}}\n",
        lab.port()
    );
    lab.write("compose.yaml", &text);
    lab.write("mainstay.toml", &format!("[[service.web.check]]\nname = \"start page\"\n{check}\n"));
    lab.own_repositories.push(own);
    lab.up()
}

fn update(lab: &Lab, to: &str, more: &[&str]) -> Run {
    let unrelated = ["--force", "writable-layer", "--startup", "25s"];
    lab.update("web", to, &[&unrelated, more].concat())
}

fn is_picture(path: &Path) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\x89PNG") && bytes.len() > 500)
}

fn pictures(lab: &Lab, run: &Run, when: &str) -> bool {
    let name = format!("screenshots/0-start-page-{when}.png");
    let path = lab.state().join("runs").join(run.id()).join(&name);
    assert!(lab.run_file(run, "report.txt").contains(&name), "the report names it");
    is_picture(&path)
}

#[test]
fn only_what_is_new_on_a_page_turns_a_version_back() {
    let scripts = [
        "<script>console.error('old trouble after 12 ms')</script>",
        "<script>console.error('old trouble after 7 ms')</script>",
        "<script>noSuchFunction()</script>",
        "<script src=\"/gone.js\"></script>",
    ];
    let lab = site(&scripts, "browser = \"/\"\nselector = \"h1\"\ncontains = \"Site\"");
    let run = update(&lab, "2", &[]).expect_kept();
    let pages = run.fact("take-baseline")["measured"]["pages"].to_string();
    assert!(pages.contains("old trouble after 12 ms"), "{run}");
    assert!(pictures(&lab, &run, "before") && pictures(&lab, &run, "new"), "{run}");
    for (version, says) in [("3", "noSuchFunction"), ("4", "HTTP 404")] {
        let run = update(&lab, version, &[]).expect(4);
        assert_eq!(run.code_of_problem(), "version-check-failed", "{run}");
        assert!(run.words().contains(says), "{run}");
        assert!(pictures(&lab, &run, "old"), "{run}");
        assert!(lab.get("/").unwrap().contains("Site 2"));
    }
}

#[test]
fn what_should_be_on_a_page_is_looked_for_while_it_is_watched_too() {
    let shows = "<p id=\"in\">Welcome</p>";
    let leaves = "<p id=\"in\">Welcome</p><script>fetch('/flag').then(r => r.text()).then(t => {
        if (t.includes('out')) document.getElementById('in').remove() })</script>";
    let lab = site(&[shows, leaves], "browser = \"/\"\nselector = \"#in\"\nevery = \"1s\"");
    let args: Vec<String> = ["update", &lab.id("web"), "--to", "2", "--yes", "--force", "writable-layer"]
        .map(str::to_owned)
        .into_iter()
        .chain(
            ["--watch", "60s", "--startup", "25s", "--probe-grace", "2s", "--probe-interval", "300ms"]
                .map(str::to_owned),
        )
        .collect();
    let mut running = lab.begin(&args.iter().map(String::as_str).collect::<Vec<_>>());
    running.until_started("watch");
    crate::lab::docker(&["exec", &lab.container_id("web"), "sh", "-c", "echo out >/srv/flag"]);
    let run = running.finish().expect(4);
    assert!(run.words().contains("selector #in"), "{run}");
    assert!(run.steps().contains(&"watch"), "{run}");
}

#[test]
fn a_page_behind_tls_is_trusted_by_its_authority_and_found_by_its_address() {
    let lab = Lab::new("shop").up();
    let url = format!("https://app.lab.test:{}/", lab.port());
    let check = |ca: &str| {
        format!(
            "[[service.app.check]]\nname = \"start page\"\nbrowser = \"{url}\"\nresolve = \"127.0.0.1\"\n{ca}\n\
             selector = \"#records\"\n"
        )
    };
    lab.write("mainstay.toml", &check(""));
    let without = lab.mainstay(&["check", &lab.id("app"), "--url", "none"]);
    assert!(without.stdout.contains("net::ERR_CERT"), "{without}\n{}", without.stdout);
    lab.write("mainstay.toml", &check("ca = \"certs/ca.pem\""));
    let with = lab.mainstay(&["check", &lab.id("app"), "--url", "none"]);
    assert!(with.stdout.contains("good: loaded in"), "{with}\n{}", with.stdout);
}

#[test]
fn without_a_browser_the_check_says_so_and_condemns_nothing() {
    let lab = site(&["", ""], "browser = \"/\"");
    let mut command = lab.command(&["check", &lab.id("web")]);
    command.env("MAINSTAY_CHROMIUM", "/nowhere/chromium");
    let run = crate::lab::process::Running::begin(command).finish();
    let finding = run.stdout.lines().find(|line| line.contains("\"functional\"")).unwrap_or_default();
    assert!(finding.contains("which is not there"), "{run}\n{}", run.stdout);
    assert!(finding.contains("\"severity\":\"warning\""), "it refuses nothing: {finding}");
}
