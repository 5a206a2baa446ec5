//! The table of profiles, a family a file. Where two could fit an image, the more special one comes first.
//!
//! The commands run in the container by `sh -c`, with the variables that the container was started with, and in images of every
//! kind: they use what any POSIX shell has and the program's own client, no `awk` or `curl` where another way leads. They take
//! passwords from variables (and from the files that variables with `_FILE` name) and hand them over by variables or standard
//! input, never as an argument, which every user of the machine sees. They ask catalogs, not data; they write nothing into it; and they
//! fail where the number can't be had, since none is not zero.

use super::{Ask, Data, Figure, Live, Profile, Signs, jump::Gate};

/// A line of shell that defines `given`: it prints what the first of some variables holds that has a value, or the file that the
/// variable of the same name with `_FILE` names. Both are ways of the official images and of Bitnami's to hand over logins.
macro_rules! given {
    () => {
        r#"given() { for n; do eval "v=\${$n:-} f=\${${n}_FILE:-}"; [ -n "$v" ] || [ -z "$f" ] || v=$(cat "$f"); [ -z "$v" ] || { printf %s "$v"; return; }; done; }
"#
    };
}

mod influxdb;
mod mongodb;
mod mysql;
mod postgres;
mod rabbitmq;
mod redis;
mod search;
mod web;

pub(super) const ALL: &[Profile] = &[
    postgres::POSTGRES,
    mysql::MARIADB,
    mysql::MYSQL,
    redis::VALKEY,
    redis::REDIS,
    mongodb::MONGODB,
    rabbitmq::RABBITMQ,
    search::OPENSEARCH,
    search::ELASTICSEARCH,
    influxdb::INFLUXDB,
    web::CADDY,
    web::NGINX,
];

#[cfg(test)]
mod tests;
