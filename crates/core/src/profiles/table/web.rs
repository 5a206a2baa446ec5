//! nginx and Caddy: they keep no data whose format changes.
