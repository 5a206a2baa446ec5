//! Decides: plan, steps, events, state, verdict, and the edits of Compose and env files
