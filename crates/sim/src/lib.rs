//! Pretends: a world that fails and crashes on command
