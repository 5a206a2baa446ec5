//! What profiles ask, of the real programs: each command in a real container, with its login by a variable or a file, while
//! there is no data and while there is; then an update that keeps it, and a jump that would not.

use std::process::Command;
use std::time::{Duration, Instant};

use mainstay_core::profiles::{Live, Profile, named};

use crate::lab::process::{Run, bounded};
use crate::lab::{Lab, built, docker};

/// A service `store` that is one of the lab's images, with a volume at `data`.
struct Store {
    lab: Lab,
    profile: &'static Profile,
}

impl Store {
    /// `more` are lines of the service.
    fn new(program: &str, tag: &str, data: &str, more: &str) -> Self {
        let text = format!(
            "services:\n  store:\n    image: 127.0.0.1:5000/lab/{program}:{tag}\n    hostname: store\n    \
             mem_limit: 700m\n    stop_grace_period: 20s\n    volumes:\n      - data:{data}\n      \
             - ./own:/own:ro\n{more}\nvolumes:\n  data:\n"
        );
        let lab = Lab::of(&[("compose.yaml", &text)]);
        std::fs::create_dir(lab.path("own")).unwrap();
        Self { lab, profile: named(program).unwrap() }
    }

    /// A file that the container finds in `/own`.
    fn own(self, name: &str, text: &str) -> Self {
        self.lab.write(&format!("own/{name}"), text);
        self
    }

    fn up(self) -> Self {
        self.lab.compose(&["up", "-d"]).success("up");
        self
    }

    /// What `sh -c` prints in the container, or complains of.
    fn sh(&self, script: &str) -> Result<String, String> {
        let mut command = Command::new("docker");
        command.args(["exec", &self.lab.container_id("store"), "sh", "-c", script]);
        let output = bounded(command);
        if output.code == Some(0) { Ok(output.stdout.trim().to_owned()) } else { Err(output.stderr) }
    }

    /// A script that has to work, as somebody who puts data in.
    fn put(&self, script: &str) {
        self.sh(script).unwrap_or_else(|e| panic!("{script}: {e}"));
    }

    /// Waits for `ready`; servers that start all at once on a busy machine take a while.
    fn ready(self) -> Self {
        let deadline = Instant::now() + Duration::from_secs(240);
        while let Err(error) = self.sh(self.profile.ready.command) {
            assert!(Instant::now() < deadline, "{} is never ready: {error}", self.profile.name);
            std::thread::sleep(Duration::from_millis(200));
        }
        self
    }

    fn figures(&self) -> Vec<(&'static str, String)> {
        let asked = self.profile.figures.iter();
        asked
            .map(|figure| (figure.ask.name, self.sh(figure.ask.command).unwrap_or_else(|e| panic!("{e}"))))
            .collect()
    }

    /// No figure can be had, and none is printed.
    fn says_nothing(&self) {
        for figure in self.profile.figures {
            let answer = self.sh(figure.ask.command);
            assert!(answer.is_err(), "{}: {answer:?}", figure.ask.name);
        }
    }

    fn update(&self, to: &str) -> Run {
        self.lab.update("store", to, &["--startup", "240s", "--probe-grace", "60s"])
    }

    /// The update is kept, and its plan has the profile's checks with what they said before.
    fn goes_to(&self, to: &str) {
        let figures = self.figures();
        let run = self.update(to).expect_kept();
        let checks = run.events[0]["plan"]["checks"].as_array().unwrap();
        let mut planned: Vec<(&str, String)> = Vec::new();
        for check in checks.iter().filter(|check| check["profile"] == self.profile.name) {
            assert_eq!(check["before"]["was"], "good", "{check}");
            planned.push((check["name"].as_str().unwrap(), check["before"]["figure"].to_string()));
        }
        let as_number = |text: &str| format!("{:?}", text.parse::<f64>().unwrap());
        let expected = figures.iter().map(|(name, figure)| (*name, as_number(figure)));
        let expected: Vec<_> =
            [(self.profile.ready.name, "null".to_owned())].into_iter().chain(expected).collect();
        assert_eq!(planned, expected, "{run}");
        assert_eq!(self.figures(), figures, "{run}");
        let image = self.lab.container("store")["Config"]["Image"].to_string();
        assert!(image.contains(&format!(":{to}\"")), "{image}");
    }

    /// The jump is refused before anything is touched, with the way.
    fn never_goes_to(&self, to: &str) {
        let before = self.lab.now();
        let run = self.update(to).expect(6);
        let findings = run.findings();
        let found = findings.iter().find(|finding| finding["check"] == "profile-jump").unwrap().to_string();
        assert!(found.contains("can't work on data of") && found.contains(self.profile.data.way), "{run}");
        self.lab.assert_untouched(&before);
    }
}

fn numbers(figures: &[(&'static str, String)]) -> Vec<String> {
    figures.iter().map(|(_, figure)| figure.clone()).collect()
}

#[test]
fn mariadb() {
    let store = Store::new(
        "mariadb",
        &built("MARIADB_OLD"),
        "/var/lib/mysql",
        "    environment:\n      MARIADB_ROOT_PASSWORD_FILE: /own/password\n      MARIADB_DATABASE: shop",
    )
    .own("password", "it's \"secret\"\n")
    .up()
    .ready();
    assert_eq!(numbers(&store.figures()), ["1", "0"]);
    let sql = |text: &str| {
        let script = format!("MYSQL_PWD=$(cat /own/password) mariadb -u root shop -N -e '{text}'");
        store.sh(&script).unwrap_or_else(|e| panic!("{text}: {e}"))
    };
    sql(
        "create table orders (id int primary key, text varchar(20)); insert into orders values (1, \"one\"), (2, \"two\")",
    );
    sql(
        "create database other; create table other.things (id int); create view seen as select * from orders",
    );
    assert_eq!(numbers(&store.figures()), ["2", "2"]);
    store.goes_to(&built("MARIADB_NEW"));
    assert_eq!(sql("select text from orders order by id"), "one\ntwo");
    store.never_goes_to(&built("MARIADB_OLD"));

    // Another password than the server's: nothing is known, which is not nothing.
    store.put(
        "MYSQL_PWD=$(cat /own/password) mariadb -u root -e \"alter user root@localhost identified by 'x'\"",
    );
    store.says_nothing();
}

#[test]
fn redis() {
    let store = Store::new(
        "redis",
        &built("REDIS_OLD"),
        "/data",
        "    command: sh -c 'exec docker-entrypoint.sh redis-server --requirepass \"$$REDIS_PASSWORD\" --appendonly yes'\n    \
         environment:\n      REDIS_PASSWORD: pass word",
    )
    .up()
    .ready();
    assert_eq!(numbers(&store.figures()), ["0"]);
    let keys = "export REDISCLI_AUTH=\"$REDIS_PASSWORD\"; c=redis-cli; for i in 1 2 3 4; do $c set k$i v; done; \
                $c set gone v ex 1000; $c -n 3 rpush list a b";
    store.put(keys);
    assert_eq!(numbers(&store.figures()), ["5"], "those that don't expire, of every database");
    saves(&store, "appendonlydir/appendonly.aof.manifest");
    store.goes_to(&built("REDIS_NEW"));
    store.never_goes_to(&built("REDIS_OLD"));
    store.put("REDISCLI_AUTH=\"$REDIS_PASSWORD\" redis-cli config set requirepass other");
    store.says_nothing();
    assert!(store.sh(store.profile.ready.command).is_err());
}

#[test]
fn valkey() {
    let store = Store::new("valkey", &built("VALKEY_OLD"), "/data", "").up().ready();
    store.put("for i in 1 2 3; do valkey-cli set k$i v; done");
    assert_eq!(numbers(&store.figures()), ["3"]);
    saves(&store, "dump.rdb");
    store.goes_to(&built("VALKEY_NEW"));
}

/// What is run before a copy of the files brings all keys to disk, in files that are whole; where nothing is to be kept on disk,
/// it leaves none.
fn saves(store: &Store, file: &str) {
    let Live::Prepared { before, .. } = store.profile.live else { panic!("{:?}", store.profile.live) };
    let copy = format!(
        "cd /data && rm -rf /tmp/copy && mkdir /tmp/copy && cp -r . /tmp/copy && ls /tmp/copy/{file}"
    );
    store.put(before);
    store.put(&copy);
    let program = store.profile.name;
    let cli = format!("REDISCLI_AUTH=\"$REDIS_PASSWORD\" {program}-cli");
    let count =
        |port: &str| store.sh(&format!("REDISCLI_AUTH= {program}-cli -p {port} info keyspace")).unwrap();
    let second = if file.starts_with("append") { "yes" } else { "no" };
    store.put(&format!(
        "{program}-server --dir /tmp/copy --port 7000 --appendonly {second} --daemonize yes --logfile /tmp/log >/dev/null
         until {program}-cli -p 7000 ping | grep -q PONG; do sleep 0.1; done"
    ));
    assert!(count("7000").contains("db0:keys="), "{}", count("7000"));
    store.put(&format!("{program}-cli -p 7000 shutdown nosave || true"));

    if second == "no" {
        store.put(&format!("{cli} config set save '' && rm -f /data/dump.rdb"));
        store.put(before);
        assert!(store.sh("ls /data/dump.rdb").is_err(), "it would be read at the next start");
        store.put(&format!("{cli} config set save '3600 1'"));
    } else {
        // It can't write: that is said, and no copy is made of what is there.
        store.put("chmod 500 /data");
        assert!(store.sh(before).is_err());
        store.put("chmod 755 /data");
        store.put(before);
    }
}

#[test]
fn rabbitmq() {
    let login = "    environment:\n      RABBITMQ_DEFAULT_USER: app\n      RABBITMQ_DEFAULT_PASS: secret";
    let store = Store::new("rabbitmq", &built("RABBITMQ_OLD"), "/var/lib/rabbitmq", login).up().ready();
    assert_eq!(numbers(&store.figures()), ["0", "1"]);
    store.put("rabbitmqctl add_user second secret && rabbitmqctl add_vhost 'two words'");
    store.put(
        "rabbitmqctl eval 'V = <<\"/\">>, D = fun(N, Du, A, Args) -> rabbit_amqqueue:declare({resource, V, queue, N}, Du, A, Args, none, <<\"app\">>) end,
         D(<<\"orders\">>, true, false, []), D(<<\"mails\">>, true, false, []), D(<<\"short\">>, true, true, []),
         D(<<\"soon\">>, true, false, [{<<\"x-expires\">>, long, 3600000}]), D(<<\"memory\">>, false, false, []),
         rabbit_amqqueue:declare({resource, <<\"two words\">>, queue, <<\"other\">>}, true, false, [], none, <<\"app\">>), ok.'",
    );
    assert_eq!(numbers(&store.figures()), ["3", "2"], "those that outlive a restart, of every virtual host");
    store.never_goes_to(&built("RABBITMQ_NEW"));
}

#[test]
fn influxdb() {
    let login = "    environment:\n      INFLUXDB_DB: house\n      INFLUXDB_ADMIN_USER: admin\n      \
                 INFLUXDB_ADMIN_PASSWORD: secret\n      INFLUXDB_HTTP_AUTH_ENABLED: \"true\"";
    let store = Store::new("influxdb", &built("INFLUXDB_OLD"), "/var/lib/influxdb", login).up().ready();
    assert_eq!(numbers(&store.figures()), ["1", "0"]);
    let query = |text: &str| {
        format!(
            "INFLUX_USERNAME=admin INFLUX_PASSWORD=$INFLUXDB_ADMIN_PASSWORD influx -database house -execute '{text}'"
        )
    };
    store.put(&query("insert temperature,room=hall value=20"));
    store.put(&query("insert humidity value=50"));
    store.put(&query("create database \"two words\""));
    assert_eq!(numbers(&store.figures()), ["2", "2"]);
    store.goes_to(&built("INFLUXDB_NEW"));
    store.put(
        "INFLUX_USERNAME=admin INFLUX_PASSWORD=$INFLUXDB_ADMIN_PASSWORD influx -execute \"set password for admin = 'other'\"",
    );
    store.says_nothing();
}

#[test]
fn caddy() {
    let store = Store::new(
        "caddy",
        &built("CADDY_OLD"),
        "/data",
        "    command: [\"caddy\", \"run\", \"--config\", \"/own/Caddyfile\", \"--adapter\", \"caddyfile\"]\n    \
         environment:\n      XDG_CONFIG_HOME: /data/config",
    )
    .own("Caddyfile", ":80\nrespond \"hello\"\n")
    .up()
    .ready();
    assert_eq!(numbers(&store.figures()), Vec::<String>::new());
    store.goes_to(&built("CADDY_NEW"));

    // Caddy's administration alone, and the engine's name server, are no service.
    store.lab.write("own/Caddyfile", "{\n}\n");
    docker(&["restart", "-t", "2", &store.lab.container_id("store")]);
    let answer = store.sh(&format!("sleep 1; {}", store.profile.ready.command));
    assert!(answer.is_err_and(|e| e.contains("does not listen")));
}

/// The lab's other images, as far as no other test asks their profiles.
#[test]
fn postgres() {
    let text = "    environment:\n      POSTGRES_PASSWORD: secret\n      POSTGRES_USER: owner\n      POSTGRES_DB: two words";
    let store = Store::new("postgres", &built("PG_OLD"), "/var/lib/postgresql/data", text).up().ready();
    assert_eq!(numbers(&store.figures()), ["2", "0"]);
    store.put(
        "psql -U owner -d 'two words' -c 'create table a (id int); create table b (id int) partition by list (id);
         create table b1 partition of b for values in (1); create materialized view c as select 1 as one; create view d as select 1 as one'",
    );
    store.put("psql -U owner -d postgres -c 'create table a (id int)'");
    assert_eq!(numbers(&store.figures()), ["2", "4"], "neither partitions nor views");
    store.put("psql -U owner -d postgres -c 'alter role owner nologin'");
    store.says_nothing();
}
