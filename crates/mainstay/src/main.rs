//! Update a Compose service with a tested backup and a way back
fn main() {}
