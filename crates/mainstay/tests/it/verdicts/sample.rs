//! A sample of the corpus, for every change: cases that `rolled_back.rs` and `kept.rs` don't look at more closely.

use super::right;

#[test]
fn a_missing_library() {
    right("missing-library");
}

#[test]
fn a_program_for_another_machine() {
    right("wrong-architecture");
}

#[test]
fn a_user_who_may_not_write() {
    right("may-not-write-its-data");
}

#[test]
fn newer_data_is_refused() {
    right("refuses-newer-data");
}

#[test]
fn a_dependency_that_is_not_there() {
    right("dependency-refused");
}

#[test]
fn a_certificate_of_another_name() {
    right("certificate-of-another-name");
}

#[test]
fn only_users_see_the_500() {
    right("healthy-but-500-outside");
}

#[test]
fn one_restart_and_then_fine() {
    right("one-restart-then-fine");
}

#[test]
fn a_burst_of_warnings() {
    right("burst-of-warnings-at-start");
}

#[test]
fn a_health_flap() {
    right("health-flap");
}

#[test]
fn a_worker_without_ports() {
    right("worker-without-ports");
}

#[test]
fn harmless_lines_that_look_bad() {
    right("harmless-lines-that-look-bad");
}

#[test]
fn no_health_check() {
    right("no-health-check");
}

#[test]
fn a_dependency_that_comes_late() {
    right("dependency-comes-late");
}

#[test]
fn a_login_where_a_page_was() {
    right("redirects-to-login");
}
