//! What stands between the users and a service that is well: names, certificates, proxies, networks, clocks.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use super::{begun, first, image, says};
use crate::lab::process::bounded;
use crate::lab::{Lab, docker, repository};

/// The lab's proxy, with another configuration, before a service that is well.
fn behind(location: &str) -> (Lab, String) {
    let lab = Lab::new("shop").up();
    let config = format!(
        "server {{ listen 443 ssl; server_name app.lab.test; ssl_certificate /etc/nginx/certs/server.pem; \
         ssl_certificate_key /etc/nginx/certs/server.key; location / {{ {location} }} }}\n"
    );
    lab.write("proxy/app.conf", &config);
    docker(&["exec", &lab.container_id("proxy"), "nginx", "-s", "reload"]);
    let url = format!("https://app.lab.test:{}/", lab.port());
    (lab, url)
}

fn first_behind(location: &str, id: &str) -> String {
    let (lab, url) = behind(location);
    let ca = lab.path("certs/ca.pem");
    first(&lab, id, &["--url", &url, "--ca", ca.to_str().unwrap(), "--resolve", "127.0.0.1"])
}

#[test]
fn a_proxy_that_asks_another_port() {
    let diagnosis = first_behind("proxy_pass http://app:9999;", "bad-gateway");
    says(&diagnosis, &["502", "port 8080 answers", "listens on 0.0.0.0:8080", "proxy"]);
}

#[test]
fn a_proxy_that_knows_no_backend() {
    says(&first_behind("return 503;", "no-backend"), &["503", "VIRTUAL_HOST"]);
}

/// Whoever the proxy asks takes the connection and never answers.
#[test]
fn a_proxy_that_waits_in_vain() {
    let (lab, url) = behind("return 200;");
    let format = "--format={{(index .IPAM.Config 0).Gateway}}";
    let gateway = docker(&["network", "inspect", format, &format!("{}_default", lab.project)]);
    let silent = TcpListener::bind((gateway.trim(), 0)).unwrap();
    let config = lab.read("proxy/app.conf");
    let pass = format!("proxy_read_timeout 1s; proxy_pass http://{};", silent.local_addr().unwrap());
    lab.write("proxy/app.conf", &config.replace("return 200;", &pass));
    docker(&["exec", &lab.container_id("proxy"), "nginx", "-s", "reload"]);
    let ca = lab.path("certs/ca.pem");
    let asked = ["--url", &url, "--ca", ca.to_str().unwrap(), "--resolve", "127.0.0.1"];
    says(&first(&lab, "gateway-timeout", &asked), &["504"]);
}

#[test]
fn certificates_that_are_not_accepted() {
    let lab = Lab::new("shop").up();
    let (ca, url) = (lab.path("certs/ca.pem"), format!("https://app.lab.test:{}/", lab.port()));
    let unknown = first(&lab, "certificate", &["--url", &url, "--resolve", "127.0.0.1"]);
    says(&unknown, &["not trusted", "--ca FILE"]);
    let other = format!("https://other.lab.test:{}/", lab.port());
    let asked = ["--url", &other, "--ca", ca.to_str().unwrap(), "--resolve", "127.0.0.1"];
    says(&first(&lab, "certificate", &asked), &["other.lab.test", "app.lab.test", "VIRTUAL_HOST"]);
    let mut expired = Command::new(repository().join("lab/ca"));
    expired.arg(lab.path("certs")).env("CA_DAYS", "0");
    bounded(expired).success("lab/ca");
    docker(&["exec", &lab.container_id("proxy"), "nginx", "-s", "reload"]);
    let asked = ["--url", &url, "--ca", ca.to_str().unwrap(), "--resolve", "127.0.0.1"];
    says(&first(&lab, "certificate", &asked), &["expired on", "not renewed"]);
}

#[test]
fn a_name_without_an_address_and_a_url_where_nobody_answers() {
    let lab = Lab::new("solo").up();
    says(
        &first(&lab, "dns", &["--url", "http://no-such-host.invalid/"]),
        &["no-such-host.invalid", "--resolve"],
    );
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let diagnosis = first(&lab, "outside-unreachable", &["--url", &format!("http://{nobody}/")]);
    says(&diagnosis, &["while the service answers inside"]);
}

#[test]
fn a_proxy_in_another_network() {
    let config = "resolver 127.0.0.11 valid=1s; server { listen 80; location / { set $up app:8080; proxy_pass http://$up; } }\n";
    let text = format!(
        "services:\n  app:\n    image: IMAGE:1.0.0\n    volumes: [\"data:/data\"]\n    networks: [inner]\n  proxy:\n    image: {}\n    \
         networks: [outer]\n    ports: [\"127.0.0.1:PORT:80\"]\n    volumes: [\"./app.conf:/etc/nginx/conf.d/app.conf:ro\"]\n\
         networks: {{inner: {{}}, outer: {{}}}}\nvolumes: {{data: {{}}}}\n",
        image("NGINX")
    );
    let lab = begun(Lab::of(&[("compose.yaml", &text), ("app.conf", config)]));
    let url = format!("http://127.0.0.1:{}/", lab.port());
    says(&first(&lab, "proxy-network", &["--url", &url]), &["_inner", "_outer", "no network in common"]);
}

/// Whoever answers at the URL lives in another hour.
#[test]
fn a_clock_that_is_wrong() {
    let lab = Lab::new("solo").up();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", server.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let Ok(mut stream) = stream else { return };
            let _request = stream.read(&mut [0; 4096]);
            let answer = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _gone = stream.write_all(answer.as_bytes());
        }
    });
    says(&first(&lab, "time-skew", &["--url", &url]), &["behind", "timedatectl"]);
}
