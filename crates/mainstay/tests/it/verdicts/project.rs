//! What is updated: the projects of the cases, with the version that runs before.

use std::process::Command;

use super::case::Case;
use crate::lab::process::bounded;
use crate::lab::{Lab, built, eventually, repository};

/// A project to update, and the service of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Project {
    /// The fixture alone, with a health check.
    Solo,
    /// The same with the health check of its image, if that has one.
    Plain,
    /// The same without ports.
    Worker,
    /// Two services that share one tag.
    Pair,
    /// PostgreSQL alone.
    Postgres,
    /// The application of a shop, behind a proxy with TLS.
    Shop,
    /// The same, with a certificate that is its own authority.
    SelfSigned,
    /// The proxy of the shop. Its new version reads another configuration, with this certificate.
    Proxy(Certificate),
    /// An application, and another one that depends on it and asks this address for its protocol.
    Front {
        /// Which address.
        asks: &'static str,
    },
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certificate {
    /// It is for another host.
    OtherName,
    /// Its time is over.
    Expired,
}

const ALONE: &str = "services:
  app:
    image: IMAGE:1.0.0
    restart: unless-stopped
    ports:
      - \"127.0.0.1:PORT:8080\"
    volumes:
      - data:/data
    mem_limit: 64m
    stop_grace_period: 5s
volumes:
  data:
";

const FRONT: &str = "services:
  app:
    image: IMAGE:1.0.0
    restart: unless-stopped
    ports:
      - \"127.0.0.1:PORT:8080\"
    volumes:
      - data:/data
    mem_limit: 64m
    stop_grace_period: 5s
  front:
    image: IMAGE:1.2.0
    restart: unless-stopped
    depends_on:
      - app
    environment:
      FIXTURE_ASKS: ASKED
    volumes:
      - front-data:/data
    mem_limit: 64m
    stop_grace_period: 5s
volumes:
  data:
  front-data:
";

/// The proxy's other configuration.
const MOVED: &str = "events {}
http {
    resolver 127.0.0.11 valid=1s ipv6=off;
    server {
        listen 443 ssl;
        server_name app.lab.test;
        ssl_certificate     /etc/nginx/moved/server.pem;
        ssl_certificate_key /etc/nginx/moved/server.key;
        location / {
            set $upstream app:8080;
            proxy_pass http://$upstream;
        }
    }
}
";

impl Project {
    /// The service that is updated.
    pub fn service(self) -> &'static str {
        match self {
            Self::Postgres => "db",
            Self::Proxy(_) => "proxy",
            _ => "app",
        }
    }

    /// The project of a case, running its old version.
    pub fn start(self, case: &Case) -> Lab {
        let lab = self.files(case);
        if !case.settings.is_empty() {
            lab.write("mainstay.toml", case.settings);
        }
        if let Self::Front { asks: "nobody:8080" } = self {
            lab.compose(&["up", "-d"]).success("up");
            eventually("the first answer", || lab.get("/version").ok());
            let health = |service: &str| lab.container(service)["State"]["Health"]["Status"].clone();
            eventually("a healthy application", || (health("app") == "healthy").then_some(()));
            eventually("an unhealthy front", || (health("front") == "unhealthy").then_some(()));
            return lab;
        }
        let lab = lab.up();
        if self == Self::Postgres {
            lab.psql("db", "create table t (n int); insert into t select generate_series(1, 1000)");
        }
        lab
    }

    fn files(self, case: &Case) -> Lab {
        let alone =
            |text: &str| Lab::of(&[("compose.yaml", &text.replace(":1.0.0", &format!(":{}", case.from)))]);
        match self {
            Self::Solo => with_tag(Lab::new("solo"), "compose.yaml", ":1.0.0", case.from),
            Self::Pair => with_tag(Lab::new("pair"), "compose.yaml", ":1.0.0", case.from),
            Self::Plain => alone(ALONE),
            Self::Worker => alone(&ALONE.replace("    ports:\n      - \"127.0.0.1:PORT:8080\"\n", "")),
            Self::Front { asks } => alone(&FRONT.replace("ASKED", asks)),
            Self::Postgres => Lab::new("pg"),
            Self::Shop => Lab::new("shop"),
            Self::SelfSigned => {
                let lab = Lab::new("shop");
                self_sign(&lab);
                lab
            }
            Self::Proxy(certificate) => behind_a_moving_proxy(certificate),
        }
    }

    /// What the service says of its data.
    pub fn data(self, lab: &Lab) -> Result<String, String> {
        match self {
            Self::Worker | Self::Proxy(_) => Ok(String::new()),
            Self::Postgres => Ok(lab.psql("db", "select count(*), sum(n) from t")),
            _ => lab.get_inside("app", "/intact"),
        }
    }

    /// Whether every byte of all data has to be as before after a rollback. Databases beside it write on.
    pub fn stands_still(self) -> bool {
        matches!(self, Self::Solo | Self::Plain | Self::Worker | Self::Pair)
    }
}

/// A tag, or the version that the lab's images were built with where it begins with `$`.
pub fn tag(text: &str) -> String {
    match text.strip_prefix('$') {
        Some(name) => match name.split_once('-') {
            Some((name, rest)) => format!("{}-{rest}", built(name)),
            None => built(name),
        },
        None => text.to_owned(),
    }
}

fn with_tag(lab: Lab, file: &str, old: &str, new: &str) -> Lab {
    lab.write(file, &lab.read(file).replace(old, &format!(":{new}")));
    lab
}

fn behind_a_moving_proxy(certificate: Certificate) -> Lab {
    let lab = Lab::new("shop");
    let certs = "      - ./certs:/etc/nginx/certs:ro\n";
    let compose = lab.read("compose.yaml");
    assert!(compose.contains(certs), "{compose}");
    lab.write(
        "compose.yaml",
        &compose.replace(certs, &format!("{certs}      - ./moved:/etc/nginx/moved:ro\n")),
    );
    std::fs::create_dir(lab.path("moved")).unwrap();
    lab.write("moved/nginx.conf", MOVED);
    for file in ["ca.pem", "ca.key"] {
        std::fs::copy(lab.path("certs").join(file), lab.path("moved").join(file)).unwrap();
    }
    let mut ca = Command::new(repository().join("lab/ca"));
    ca.arg(lab.path("moved"));
    match certificate {
        Certificate::OtherName => ca.arg("other.lab.test"),
        Certificate::Expired => ca.env("CA_DAYS", "0"),
    };
    bounded(ca).success("lab/ca");
    lab
}

fn self_sign(lab: &Lab) {
    let mut openssl = Command::new("openssl");
    openssl.current_dir(lab.path("certs")).args(["req", "-x509", "-newkey", "ec", "-pkeyopt"]);
    openssl.args(["ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj", "/CN=app.lab.test"]);
    openssl.args([
        "-addext",
        "subjectAltName=DNS:app.lab.test",
        "-addext",
        "basicConstraints=critical,CA:FALSE",
    ]);
    openssl.args(["-keyout", "server.key", "-out", "server.pem"]);
    bounded(openssl).success("openssl");
}
