//! Persists: the journal, the lock and the one loop that performs steps
