//! Keeps: backups in a restic repository, their proof and their restoration
