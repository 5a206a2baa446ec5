-- The journal: what every run did, in order. Anyone can read it with sqlite3.
-- user_version of the database counts the versions of this schema.

create table run (
    id         text primary key,          -- time of the start and a random part; sorts by age
    project    text not null,
    service    text not null,
    kind       text not null,             -- update, rollback, backup, restore
    started_at integer not null,          -- milliseconds since the epoch
    ended_at   integer,                   -- null while the run is unfinished
    verdict    text                       -- how it ended; null while the run is unfinished
) strict;

create index run_by_service on run (project, service, started_at);

-- Append only. `seq` is the order, from 1 without gaps; `at` is for people.
create table entry (
    run  text    not null references run (id),
    seq  integer not null,
    at   integer not null,                -- milliseconds since the epoch
    kind text    not null,                -- the event's name, for whoever reads with sqlite3
    body text    not null,                -- the event as JSON
    primary key (run, seq)
) strict, without rowid;
