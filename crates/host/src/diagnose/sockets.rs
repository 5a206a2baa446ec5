//! What is listened on in a process's network, from the kernel: works for images without any tool.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use mainstay_core::diagnosis::Listener;

/// The kernel's word for a socket that listens.
const LISTEN: &str = "0A";
/// Docker's own name server, which listens in every container's network.
const DOCKERS_DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// TCP ports that are listened on in the network of a process; `None` where that can't be seen.
pub(super) fn listeners(pid: u32) -> Option<Vec<Listener>> {
    let table = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/net/{name}"));
    let mut found = parse(&table("tcp").ok()?);
    // A kernel without IPv6 has no such table.
    found.extend(parse(&table("tcp6").unwrap_or_default()));
    found.sort_unstable();
    found.dedup();
    Some(found)
}

/// The numbers of the sockets in a table that listen on a port.
pub(super) fn inodes(table: &str, port: u16) -> Vec<String> {
    let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
    let wanted = rows.filter(|row| {
        row.get(3) == Some(&LISTEN) && row.get(1).and_then(|a| listener(a)).is_some_and(|l| l.port == port)
    });
    wanted.filter_map(|row| row.get(9).map(|inode| (*inode).to_owned())).collect()
}

fn parse(table: &str) -> Vec<Listener> {
    let rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row.get(3) == Some(&LISTEN))
        .filter_map(|row| listener(row.get(1)?))
        .filter(|l| l.address != IpAddr::V4(DOCKERS_DNS))
        .collect()
}

/// `0100007F:1F90`: words of the address in the machine's order, the port plain.
fn listener(text: &str) -> Option<Listener> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words: Vec<u32> = (0..address.len() / 8)
        .map_while(|n| u32::from_str_radix(address.get(n * 8..n * 8 + 8)?, 16).ok())
        .collect();
    let address = match words.as_slice() {
        [one] => IpAddr::V4(Ipv4Addr::from(one.to_ne_bytes())),
        [a, b, c, d] => {
            let mut bytes = [0; 16];
            for (place, word) in bytes.chunks_exact_mut(4).zip([a, b, c, d]) {
                place.copy_from_slice(&word.to_ne_bytes());
            }
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some(Listener { address, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
        0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1\n   \
        1: 0B00007F:A1B2 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1\n   \
        2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1\n   \
        3: 0200000A:1F90 0300000A:C001 01 00000000:00000000 00:00000000 00000000     0        0 4714 1\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn listeners_are_read_from_the_kernels_table() {
        let found: Vec<String> = parse(TCP).iter().map(|l| format!("{}:{}", l.address, l.port)).collect();
        assert_eq!(found, ["127.0.0.1:8080", "0.0.0.0:80"]);
        assert_eq!(inodes(TCP, 80), ["4713"]);
        let any = listener("00000000000000000000000000000000:1538").unwrap();
        assert_eq!((any.address.to_string().as_str(), any.port), ("::", 5432));
        let loopback = listener("00000000000000000000000001000000:0050").unwrap();
        assert!(loopback.address.is_loopback());
    }

    #[test]
    fn our_own_listener_is_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = listeners(std::process::id()).unwrap();
        assert!(found.iter().any(|l| l.port == port && l.address.is_loopback()), "{found:?}");
    }
}
