//! Acts: engine, Compose, files, checks and probes
