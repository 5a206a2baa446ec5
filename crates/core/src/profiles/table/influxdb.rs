//! InfluxDB.
