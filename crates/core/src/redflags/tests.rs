use super::Flag::*;
use super::*;

#[track_caller]
fn all(flag_expected: Flag, lines: &[&str]) {
    let wrong: Vec<_> =
        lines.iter().filter(|l| flag(l) != Some(flag_expected)).map(|l| (l, flag(l))).collect();
    assert!(wrong.is_empty(), "not {flag_expected:?}: {wrong:#?}");
}

#[test]
fn data_that_is_refused() {
    all(
        DataRefused,
        &[
            "2026-01-05 10:11:12.345 UTC [1] FATAL:  database files are incompatible with server",
            "2026-01-05 10:11:12.345 UTC [1] DETAIL:  The data directory was initialized by PostgreSQL version 15, which is not compatible with this version 17.2.",
            "2026-01-05 10:11:12.345 UTC [27] PANIC:  could not locate a valid checkpoint record at 0/1A2B3C8",
            "ERROR:  invalid page in block 7 of relation base/16384/2619",
            "Error: in 18+, these Docker images are configured ... Counter to that, there appears to be PostgreSQL data in:",
            "2026-01-05T10:11:12.345678Z 1 [ERROR] [MY-012526] [InnoDB] Upgrade after a crash is not supported. This redo log was created with MySQL 5.7.44.",
            "2026-01-05 10:11:12 0 [ERROR] InnoDB: Unsupported redo log format. The redo log was created with MariaDB 11.4.2.",
            "2026-01-05T10:11:12Z 1 [ERROR] [MY-013171] [InnoDB] Cannot upgrade server earlier than 5.7 to 8.0",
            "2026-01-05T10:11:12Z 1 [ERROR] [MY-014060] [Server] Invalid MySQL server downgrade: Cannot downgrade from 80200 to 80100.",
            "1:M 05 Jan 2026 10:11:12.345 # Can't handle RDB format version 12",
            "1:M 05 Jan 2026 10:11:12.345 # Bad file format reading the append only file: make a backup of your AOF file",
            r#"{"t":{"$date":"2026-01-05T10:11:12Z"},"s":"F","c":"CONTROL","id":20573,"ctx":"initandlisten","msg":"Wrong mongod version","attr":{"error":"UPGRADE PROBLEM: Found an invalid featureCompatibilityVersion document (ERROR: Location4926900: Invalid featureCompatibilityVersion document)"}}"#,
            r#"{"s":"E","msg":"This version of MongoDB is too recent to start up on the existing data files. Try MongoDB 4.2 or earlier."}"#,
            r#"{"@timestamp":"2026-01-05T10:11:12Z","log.level":"ERROR","message":"fatal exception while booting Elasticsearch","error.stack_trace":"java.lang.IllegalStateException: cannot upgrade a node from version [6.8.23] directly to version [8.11.0]"}"#,
            "java.lang.IllegalStateException: cannot downgrade a node from version [8.11.0] to version [8.10.0]",
            "sqlite3.DatabaseError: database disk image is malformed",
            "Can't start Nextcloud because the version of the data (29.0.0.19) is higher than the docker image version (28.0.0.11) and downgrading is not supported. Are you sure you have pulled the newest image version?",
            "2026/01/05 10:11:12 ...les/migration.go:42:Migrate() [F] Migration Error: Your database (migration version: 305) is for a newer Gitea, you can not use the newer database for this old Gitea release (299).",
            "2026-01-05T10:11:12.345Z FATAL data schema 2 is newer than this version supports (1)",
            "2026-01-05T10:11:12.345Z FATAL data is corrupt: record 1 does not match its checksum",
            "2026-01-05T10:11:12.345Z FATAL data is corrupt: expected value at line 1 column 1",
            "panic: database schema version 12 is newer than 11",
        ],
    );
}

/// What the programs of profiles print when they refuse the data of another version.
#[test]
fn data_of_another_version_is_refused_by_every_program_that_has_a_profile() {
    all(
        DataRefused,
        &[
            // MongoDB 5.0 and 6.0 on data of two versions before.
            r#"{"s":"F","msg":"Wrong mongod version","attr":{"error":"UPGRADE PROBLEM: Found an invalid featureCompatibilityVersion document (ERROR: Location4926900: Invalid featureCompatibilityVersion document in admin.system.version: { _id: \"featureCompatibilityVersion\", version: \"4.2\" }. See https://docs.mongodb.com/master/release-notes/4.4-compatibility/#feature-compatibility. :: caused by :: Invalid value for featureCompatibilityVersiondocument in admin.system.version, found 4.2, expected '4.4' or '4.9' or '5.0. See https://docs.mongodb.com/master/release-notes/4.4-compatibility/#feature-compatibility.). If the current featureCompatibilityVersion is below 4.4, see the documentation on upgrading at https://docs.mongodb.com/master/release-notes/4.4/#upgrade-procedures."}}"#,
            // RabbitMQ 3.11 and 3.12.
            "2022-07-13 11:29:28.366877+02:00 [error] <0.232.0> Feature flags: `implicit_default_bindings`: required feature flag not enabled! It must be enabled before upgrading RabbitMQ.",
            "[error] <0.231.0> Failed to initialize feature flags registry: {disabled_required_feature_flag, direct_exchange_routing_v2}",
            "2023-01-09 16:27:50.816607+00:00 [error] <0.229.0> Error during startup: {error,failed_to_initialize_feature_flags_registry}",
            // Elasticsearch 9.1 and 8.13.
            "fatal exception while booting Elasticsearch java.lang.IllegalStateException: cannot upgrade a node from version [8.18.0] directly to version [9.1.11], upgrade to version [8.19.0] first.",
            "Caused by: org.elasticsearch.gateway.CorruptStateException: Format version is not supported. Upgrading to [8.13.2] is only supported from version [7.17.0].",
            // Elasticsearch 7.15 on data of 8.0.
            "org.elasticsearch.bootstrap.StartupException: ElasticsearchException[failed to bind service]; nested: FileSystemException[/usr/share/elasticsearch-7.15.0/data-0/nodes/0: Not a directory];",
            // OpenSearch 3.0 and 3.4.
            "org.opensearch.bootstrap.StartupException: java.lang.IllegalStateException: The index [[.opendistro_security/FvrdR2yPQqqWSZ48nL1Pdg]] was created with version [1.3.6] but the minimum compatible version is [2.0.0]. It should be re-indexed in OpenSearch 2.x before upgrading to 3.0.0.",
            "java.lang.IllegalArgumentException: Version id 7090199 must contain OpenSearch mask",
            // InfluxDB 2.0.9 and 2.7 on newer data, 2.0.0-rc.1 on a beta's.
            r#"2021-10-26T14:02:37.978000Z     error   Failed to apply migrations      {"log_id": "0XREPVmG000", "error": "up: reading migrations: migration \"add annotations and notebooks resource types to operator token\": migration specification not found"}"#,
            r#"Error: DB contains record of unknown migration "create authorizationhashedindexv1 bucket" - if you are downgrading from a more recent version of influxdb, please run the "influxd downgrade" command from that version to revert your metadata to be compatible with this version prior to starting influxd."#,
            "2020-10-20T22:45:26.215540Z\terror\tIncompatible InfluxDB 2.0 metadata found. File must be moved before influxd will start.\t{\"log_id\": \"0Pz2rl9W000\", \"path\": \"/root/.influxdbv2/influxd.bolt\"}",
            // Valkey 8.1.5 and Redis 7.0.13 on newer data.
            "1:M 08 Dec 2025 15:08:43.050 # Error reading the RDB base file appendonly.aof.9077.base.rdb, AOF loading aborted",
            "1:M 22 Sep 2023 10:37:18.317 # Can't handle RDB format version 11",
            "1:M 22 Sep 2023 10:37:18.317 # Fatal error loading the DB: Invalid argument. Exiting.",
            // MariaDB 10.1 and 10.3 on newer data, 10.9 after a kill.
            "InnoDB: A downgrade from MariaDB 10.2.2 or later is not supported.",
            "InnoDB: Downgrade after a crash is not supported. The redo log was created with MariaDB 10.4.17.",
            "[ERROR] InnoDB: Upgrade after a crash is not supported. The redo log was created with MariaDB 10.7.1.",
        ],
    );
}

#[test]
fn healthy_lines_of_programs_that_have_a_profile_mean_nothing() {
    for line in [
        "2023-01-27 18:07:34.864 [info] <0.272.0> Feature flags: list of feature flags found:",
        "2023-01-27 18:07:34.865 [info] <0.272.0> Feature flags:   [x] drop_unroutable_metric",
        "2020-10-20T22:45:26.204594Z\tinfo\tMigration \"Create TSM metadata buckets\" completed (up)\t{\"log_id\": \"0Pz2rl9W000\", \"service\": \"migrations\"}",
        "2020-10-20T22:45:26.215412Z\tinfo\tChecking InfluxDB metadata for prior version.\t{\"log_id\": \"0Pz2rl9W000\"}",
        "Reading RDB base file on AOF loading...",
        "1:M 22 Sep 2023 10:37:18.311 # Server initialized",
    ] {
        assert_eq!(flag(line), None, "{line}");
    }
}

#[test]
fn migrations_that_failed() {
    all(
        MigrationFailed,
        &[
            "2026-01-05T10:11:12.345Z ERROR migration failed",
            "2026-01-05T10:11:12.345Z FATAL migration failed: stopped half way from schema 1 to 2",
            "2026-01-05T10:11:12.345Z ERROR migration failed: a record cannot be read in its new form",
            "alembic.util.exc.CommandError: Can't locate revision identified by '1f2e3d4c5b6a'",
            "FAILED: Target database is not up to date.",
            "django.db.migrations.exceptions.InconsistentMigrationHistory: Migration admin.0001_initial is applied before its dependency",
            "django.db.utils.ProgrammingError: relation \"auth_user\" does not exist",
            "Error: P3009",
            "migrate found failed migrations in the target database, new migrations will not be applied.",
            "Error: P3018 A migration failed to apply. New migrations cannot be applied before the error is recovered from.",
            "org.flywaydb.core.api.FlywayException: Validate failed: Migrations have failed validation",
            "ERROR: Migration of schema \"public\" to version \"2 - add\" failed! Changes successfully rolled back.",
            "liquibase.exception.MigrationFailedException: Migration failed for changeset db/1.xml::1::a",
            "ActiveRecord::PendingMigrationError: Migrations are pending.",
            "StandardError: An error has occurred, this and all later migrations canceled:",
            "error: Dirty database version 5. Fix and force version.",
            "level=error msg=\"failed to run database migrations\" err=\"timeout\"",
            "sqlite3.OperationalError: no such table: users",
            "sqlalchemy.exc.OperationalError: (sqlite3.OperationalError) no such column: user.settings",
            "ERROR 1146 (42S02): Table 'app.users' doesn't exist",
            "Unknown column 'settings' in 'field list'",
            r#"{"level":"fatal","msg":"could not apply database migration","version":12}"#,
            "2026-01-05 10:11:12 UTC [99] ERROR:  column \"settings\" does not exist at character 8",
        ],
    );
}

#[test]
fn programs_that_cannot_start_or_die() {
    all(
        MissingFile,
        &[
            "/app/server: error while loading shared libraries: libssl.so.1.1: cannot open shared object file: No such file or directory",
            "exec /usr/local/bin/app: exec format error",
            "/app: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.34' not found (required by /app)",
            "Error: Cannot find module '/app/dist/main.js'",
            "ModuleNotFoundError: No module named 'psycopg2'",
            "exec: \"server\": executable file not found in $PATH",
            "Error: ENOENT: no such file or directory, open '/app/config.json'",
            "/entrypoint.sh: line 3: /app/bin: No such file or directory",
            "2026-01-05T10:11:12.345Z FATAL cannot read /data/store.json: No such file or directory (os error 2)",
            "sh: 1: node: not found",
            "Error: Could not find or load main class com.example.App",
        ],
    );
    all(
        OutOfMemory,
        &[
            "java.lang.OutOfMemoryError: Java heap space",
            "Exception in thread \"main\" java.lang.OutOfMemoryError: GC overhead limit exceeded",
            "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
            "fatal error: runtime: out of memory",
            "MemoryError",
            "memory allocation of 1073741824 bytes failed",
            "PHP Fatal error:  Allowed memory size of 134217728 bytes exhausted (tried to allocate 20480 bytes)",
            "ERROR:  out of memory",
            "INFO worker: terminate called after java.lang.OutOfMemoryError",
        ],
    );
    all(
        Panic,
        &[
            "panic: runtime error: invalid memory address or nil pointer dereference",
            "2026/01/05 panic: x",
            "thread 'main' panicked at src/main.rs:10:5:",
            "thread 'main' (1) panicked at lab/fixture/src/main.rs:88:13:",
            "2026-01-05 10:11:12 UTC [1] PANIC:  could not write to file",
        ],
    );
    all(
        Crash,
        &[
            "Segmentation fault (core dumped)",
            "[UnhandledPromiseRejection: This error originated either by throwing inside of an async function]",
            "(node:1) UnhandledPromiseRejectionWarning: Error: x",
            "uncaughtException: boom",
            "Exception in thread \"main\" java.lang.IllegalStateException: boom",
            "2026-01-05 10:11:12 UTC [1] LOG:  server process (PID 77) was terminated by signal 11: Segmentation fault",
            "WARN exited: app (exit status 1; not expected)",
            "/app/x.rb:3:in `run': boom (RuntimeError)",
            "/app/x.rb:3:in 'Integer#/': divided by 0 (ZeroDivisionError)",
            "PHP Fatal error:  Uncaught App\\Exception\\NotReadyException: boom in /app/x.php:3",
            "Unhandled exception. System.InvalidOperationException: boom",
        ],
    );
}

#[test]
fn what_surrounds_a_service() {
    all(
        Authentication,
        &[
            "2026-01-05 10:11:12 UTC [99] FATAL:  password authentication failed for user \"app\"",
            "ERROR 1045 (28000): Access denied for user 'app'@'10.0.0.3' (using password: YES)",
            "ReplyError: WRONGPASS invalid username-password pair or user is disabled.",
            "MongoServerError: Authentication failed.",
            "FATAL:  role \"app\" does not exist",
        ],
    );
    all(
        DependencyRefused,
        &[
            "Error: connect ECONNREFUSED 10.0.0.2:5432",
            "psycopg2.OperationalError: could not connect to server: Connection refused",
            "dial tcp: lookup db on 127.0.0.11:53: no such host",
            "getaddrinfo EAI_AGAIN db",
            "level=error msg=\"dial tcp 10.0.0.2:6379: connect: connection refused\"",
        ],
    );
    all(
        DiskFull,
        &[
            "Error: ENOSPC: no space left on device, write",
            "PANIC:  could not write to file \"pg_wal/xlogtemp.1\": No space left on device",
            "sqlite3.OperationalError: database or disk is full",
            "2026-01-05T10:11:12.345Z FATAL cannot write /data/store.json.new: No space left on device (os error 28)",
        ],
    );
    all(
        StackTrace,
        &[
            "Traceback (most recent call last):",
            "  File \"/app/main.py\", line 12, in <module>",
            "    at Object.<anonymous> (/app/index.js:10:15)",
            "    at /app/index.js:10:15",
            "\tat com.example.App.main(App.java:12)",
            "Caused by: java.lang.NullPointerException",
            "goroutine 1 [running]:",
            "\t... 12 more",
        ],
    );
}

#[test]
fn other_errors() {
    all(
        Error,
        &[
            "2026-01-05T10:11:12.345Z ERROR cannot reach the cache (attempt 12)",
            "2026-01-05T10:11:12.345Z FATAL cannot start: fault exit-at-start",
            "2026-01-05T10:11:12.345Z FATAL cannot listen: Address already in use (os error 98)",
            "2026-01-05T10:11:12.345Z ERROR no memory limit: stopped taking memory at 1 GiB",
            r#"{"level":"error","msg":"boom"}"#,
            r#"{"level":50,"msg":"boom"}"#,
            r#"{"severity":"CRITICAL","message":"boom"}"#,
            r#"{"log":{"level":"error"},"message":"boom"}"#,
            r#"{"level":3,"short_message":"boom"}"#,
            "time=2026-01-05T10:11:12Z level=error msg=boom",
            "ts=1 lvl=eror msg=boom",
            "E0105 10:11:12.345678       1 main.go:12] boom",
            "[2026-01-05 10:11:12 +0000] [1] [ERROR] boom",
            "2026/01/05 10:11:12 [error] 7#7: *1 upstream timed out (110: Connection timed out)",
            "2026/01/05 10:11:12 [error] 7#7: *1 open() \"/usr/share/nginx/html/favicon.ico\" failed (2: No such file or directory)",
            "2026/01/05 10:11:12 [emerg] 1#1: unknown directive \"foo\"",
            "ERROR:root:boom",
            "2026-01-05 10:11:12,345 app.module ERROR boom",
            "Jan 05 10:11:12 host app[1]: ERROR boom",
            "web-1  | ERROR boom",
            "\u{1b}[31mERROR\u{1b}[0m boom",
            "Error: boom",
            "error: boom",
            "TypeError: x is not a function",
            "2026-01-05 10:11:12 UTC [99] ERROR:  syntax error at or near \"x\"",
            "2026-01-05 10:11:12 UTC [1] FATAL:  the database system is starting up",
            "PHP Fatal error:  boom",
            "npm ERR! code ELIFECYCLE",
            "Mon Jan  5 10:11:12 2026 host app ERROR boom",
            "[system] error: boom",
            "Fatal error: boom",
            "fatal: boom",
            "<error> boom",
            "fail: Microsoft.AspNetCore.Server.Kestrel[13]",
        ],
    );
}

#[test]
fn no_false_alarms() {
    let quiet = [
        "",
        "   ",
        "0 errors",
        "build finished with 0 errors, 2 warnings",
        "errors=0 duration=3ms",
        "completed: 12 ok, 0 failed",
        "migrations done, 0 failed migrations",
        "no error",
        "No errors found while running migrations",
        "Error: none",
        "error: null",
        "done without errors",
        "reading error_log",
        "error_log = /var/log/error.log",
        "error handler installed",
        "errors are reported to https://sentry.example",
        "log level set to ERROR",
        "INFO login failed for user bob",
        "2026-01-05 10:11:12,345 INFO retrying failed jobs",
        "INFO password authentication failed before, now fixed",
        "[info] retry after error: boom",
        r#"{"level":"info","msg":"job failed, will retry","error":"boom"}"#,
        r#"{"level":30,"msg":"request errored","err":{"type":"Error"}}"#,
        r#"{"level":"info","errors":0,"error":null}"#,
        r#"{"s":"I","c":"REPL","msg":"Setting featureCompatibilityVersion","attr":{"newVersion":"7.0"}}"#,
        r#"{"msg":"featureCompatibilityVersion is 7.0"}"#,
        "time=1 level=info msg=\"connection refused, retrying\"",
        "level=debug msg=\"no such table: x\"",
        "I0105 10:11:12.345678       1 main.go:12] error budget is fine",
        "W0105 10:11:12.345678       1 main.go:12] slow",
        "WARN slow query",
        "app/x.rb:3:in `run': see docs (optional)x",
        "fail2ban is not installed",
        "Uncaught requests are logged",
        "[warn] error rate is high",
        "2026-01-05T10:11:12Z 0 [Note] [MY-010733] [Server] Shutting down plugin; last error 0",
        "2026-01-05T10:11:12Z 0 [Warning] [MY-010068] [Server] CA certificate ca.pem is self signed.",
        "2026-01-05 10:11:12 UTC [1] LOG:  database system was not properly shut down; automatic recovery in progress",
        "2026-01-05 10:11:12 UTC [99] STATEMENT:  select * from errors where message = 'ERROR: out of memory'",
        "1:M 05 Jan 2026 10:11:12.345 * Ready to accept connections",
        "1:S 05 Jan 2026 10:11:12.345 * Error condition on socket for SYNC: Connection refused",
        "1:M 05 Jan 2026 10:11:12.345 # WARNING Memory overcommit must be enabled! Without it, a background save may fail.",
        "10.0.0.1 - - [05/Jan/2026:10:11:12 +0000] \"GET /errors/404?q=ENOSPC HTTP/1.1\" 200 12 \"-\" \"curl\"",
        "2026-01-05T10:11:12.345Z INFO GET / 500",
        "[system] all good",
        "log: nothing to do",
        "(node:1) [DEP0040] DeprecationWarning: The `punycode` module is deprecated.",
        "Alert rules loaded",
        "  Applying users.0002_failed_login_attempts... OK",
        "Migrating: 2019_08_19_000000_create_failed_jobs_table",
        "2019_08_19_000000_create_failed_jobs_table ............ 12ms DONE",
        "== 20260105 AddErrorColumn: migrated (0.0012s) ==",
        "INFO  [alembic.runtime.migration] Running upgrade 1a -> 2b, error codes",
        "2026-01-05T10:11:12.345Z INFO migrating 3 records: schema 1 to 2",
        "2026-01-05T10:11:12.345Z INFO data is intact: 3 records, schema 2",
        "2026-01-05T10:11:12.345Z INFO fixture 2.0.0 starts (data schema 2, faults: migration-fails-half-way,corrupt-data)",
        "2026-01-05T10:11:12.345Z INFO no data yet: initialising it with 3 records",
        "listening at 0.0.0.0:8080",
        "look at http://localhost:8080",
        "    at your service",
        "Started Application in 3.1 seconds",
        "the author of the panic button",
        "don't panic",
    ];
    let wrong: Vec<_> = quiet.iter().filter_map(|line| Some((line, flag(line)?))).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_flag_says_what_it_does_to_the_data_and_the_verdict() {
    let all = [
        OutOfMemory,
        DependencyRefused,
        Crash,
        MigrationFailed,
        DataRefused,
        Authentication,
        MissingFile,
        DiskFull,
        Panic,
        StackTrace,
        Error,
    ];
    let certain = all.into_iter().filter(|f| f.doubt() == DataDoubt::Certain).collect::<Vec<_>>();
    assert_eq!(certain, [MigrationFailed, DataRefused]);
    let unrelated = all.into_iter().filter(|f| f.doubt() == DataDoubt::Unrelated).collect::<Vec<_>>();
    assert_eq!(unrelated, [OutOfMemory, DependencyRefused]);
    let undecided = all.into_iter().filter(|f| !f.decides()).collect::<Vec<_>>();
    assert_eq!(undecided, [DependencyRefused, StackTrace, Error]);
    for flag in all {
        assert_eq!(flag.to_string(), flag.describe());
        assert!(!flag.describe().is_empty());
    }
}

proptest::proptest! {
    #[test]
    fn no_line_is_too_strange(line in ".{0,80}") {
        let _ = flag(&line);
    }

    #[test]
    fn information_is_no_alarm(text in "[ a-z:=0-9]{0,60}") {
        proptest::prop_assert_eq!(flag(&format!("2026-01-05T10:11:12Z INFO {text} error failed fatal")), None);
    }
}
