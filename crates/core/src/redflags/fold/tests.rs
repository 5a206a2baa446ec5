use super::*;

/// The heads of a log, and what else says what an event is about.
fn heads(log: &str) -> Vec<&str> {
    let mut folder = Folder::default();
    log.lines().filter(|line| folder.take(line) == Part::Head).collect()
}

fn cores(log: &str) -> Vec<&str> {
    let mut folder = Folder::default();
    log.lines().filter(|line| folder.take(line) == Part::Core).collect()
}

#[test]
fn java_with_causes_is_one_event() {
    // Keycloak and Jenkins print so.
    let log = "2026-01-05 10:11:12,345 ERROR [org.keycloak.services] (main) KC-SERVICES0001: failed\n\
               java.lang.RuntimeException: boom\n\
               \tat com.example.App.main(App.java:12)\n\
               \tat java.base/java.lang.Thread.run(Thread.java:829)\n\
               Caused by: java.sql.SQLException: connection refused\n\
               \tat com.example.Db.open(Db.java:7)\n\
               \t... 12 more\n\
               2026-01-05 10:11:13,345 INFO  [org.keycloak] up\n";
    let heads = heads(log);
    assert_eq!(heads.len(), 3, "{heads:?}");
    assert_eq!(heads[1], "java.lang.RuntimeException: boom");
}

#[test]
fn python_is_one_event_and_its_last_line_says_what_it_is_about() {
    let log = "INFO start\n\
               \n\
               Traceback (most recent call last):\n  File \"/app/main.py\", line 12, in <module>\n    run()\n\
               sqlite3.OperationalError: no such table: users\n\
               \n\
               During handling of the above exception, another exception occurred:\n\
               \n\
               Traceback (most recent call last):\n  File \"/app/main.py\", line 14, in <module>\n    fail()\n    ~~~~^^\n\
               RuntimeError: boom\n\
               INFO end\n";
    assert_eq!(cores(log), ["sqlite3.OperationalError: no such table: users", "RuntimeError: boom"]);
    assert_eq!(heads(log), ["INFO start", "Traceback (most recent call last):", "INFO end"]);
    let twice =
        "Traceback (most recent call last):\n  File \"x.py\", line 1, in f\nValueError: x\n".repeat(2);
    assert_eq!(heads(&twice).len(), 2);
    // As the logging module prints it: the message, then the traceback.
    let logged = "ERROR:root:it failed\nTraceback (most recent call last):\n  File \"x.py\", line 1, in f\nValueError: x\n";
    assert_eq!(heads(logged), ["ERROR:root:it failed"]);
}

#[test]
fn node_is_one_event() {
    let log = "TypeError: Cannot read properties of undefined (reading 'id')\n    at Object.<anonymous> (/app/index.js:10:15)\n    \
               at node:internal/main/run_main_module:23:47 {\n  code: 'ERR_X',\n}\n\nNode.js v20.11.0\nlistening\n";
    // The brace alone stands at the margin.
    assert_eq!(
        heads(log),
        ["TypeError: Cannot read properties of undefined (reading 'id')", "}", "listening"]
    );
}

#[test]
fn go_is_one_event_though_its_frames_are_not_indented() {
    let log = "panic: runtime error: invalid memory address or nil pointer dereference\n\
               [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x4]\n\ngoroutine 1 [running]:\n\
               main.(*Server).Start(0xc000)\n\t/app/main.go:12 +0x1d\nmain.main()\n\t/app/main.go:5 +0x20\n\
               created by net/http.(*Server).Serve in goroutine 1\n\t/usr/local/go/src/net/http/server.go:3086 +0x5cb\nexit status 2\n\
               2026/01/05 10:11:12 starting\n";
    assert_eq!(
        heads(log),
        [
            "panic: runtime error: invalid memory address or nil pointer dereference",
            "2026/01/05 10:11:12 starting"
        ]
    );
}

#[test]
fn rust_is_one_event_and_its_second_line_says_what_it_is_about() {
    let log = "thread 'main' (1) panicked at src/main.rs:10:5:\ncalled `Option::unwrap()` on a `None` value\n\
               stack backtrace:\n   0: rust_begin_unwind\n             at /rustc/x/library/std/src/panicking.rs:665:5\n\
               note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\nlistening\n";
    assert_eq!(heads(log), ["thread 'main' (1) panicked at src/main.rs:10:5:", "listening"]);
    assert_eq!(cores(log), ["called `Option::unwrap()` on a `None` value"]);
}

#[test]
fn ruby_and_php_and_dotnet_are_one_event_each() {
    let ruby = "/app/x.rb:3:in `run': boom (RuntimeError)\n\tfrom /app/x.rb:7:in `<main>'\n";
    assert_eq!(heads(ruby), ["/app/x.rb:3:in `run': boom (RuntimeError)"]);
    let rails = "ActionView::Template::Error (undefined method `x' for nil):\n\napp/views/a.rb:3:in `show'\n\
                 app/controllers/b.rb:7:in `index'\n";
    assert_eq!(heads(rails), ["ActionView::Template::Error (undefined method `x' for nil):"]);
    let php = "PHP Fatal error:  Uncaught Exception: boom in /app/x.php:3\nStack trace:\n#0 /app/x.php(7): run()\n#1 {main}\n  \
               thrown in /app/x.php on line 3\nready\n";
    assert_eq!(heads(php), ["PHP Fatal error:  Uncaught Exception: boom in /app/x.php:3", "ready"]);
    let dotnet = "Unhandled exception. System.InvalidOperationException: boom\n ---> System.Exception: inner\n   \
                  at Program.Run() in /src/Program.cs:line 12\n   --- End of inner exception stack trace ---\n   \
                  at Program.Main(String[] args)\n\
                  fail: Microsoft.AspNetCore.Server.Kestrel[13]\n      Connection id \"0HM\": an unhandled exception\n";
    assert_eq!(
        heads(dotnet),
        [
            "Unhandled exception. System.InvalidOperationException: boom",
            "fail: Microsoft.AspNetCore.Server.Kestrel[13]"
        ]
    );
}

#[test]
fn plain_lines_are_events_of_their_own() {
    let log = "one\ntwo\nERROR three\n\n    indented after a blank line\nfour\n";
    assert_eq!(heads(log), ["one", "two", "ERROR three", "    indented after a blank line", "four"]);
    assert_eq!(heads("    indented at the very beginning\n"), ["    indented at the very beginning"]);
}
