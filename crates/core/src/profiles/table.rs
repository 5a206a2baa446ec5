//! The table of profiles, a family a file. Where two could fit an image, the more special one comes first.

use super::{Ask, Data, Figure, Live, Profile, Signs, jump::Gate};

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
