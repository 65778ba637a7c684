//! The header by which a TCP proxy says who called it: the PROXY protocol, version 2
//! (<https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt>).

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use ppp::v2::{Addresses, Command, Header};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Signature, version, family and length.
const FIXED_BYTES: usize = 16;
/// Addresses and whatever a proxy adds.
const MAX_BYTES: usize = 1 << 10;

/// Reads the header by which a TCP proxy says who called it, and not a byte more; `None` when the proxy speaks for itself, as
/// it does to see whether we are here. It does not end before the header does: who waits sets a time.
///
/// # Errors
/// [`ErrorKind::InvalidData`] when it is not one, is longer than 1 KiB, or names nobody; those of `stream`.
pub async fn read_proxy_header(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<SocketAddr>> {
    let wrong = || io::Error::from(ErrorKind::InvalidData);
    let mut bytes = vec![0; FIXED_BYTES];
    stream.read_exact(&mut bytes).await?;
    let Some(&[high, low]) = bytes.last_chunk() else { return Err(wrong()) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !bytes.starts_with(ppp::v2::PROTOCOL_PREFIX) || length > MAX_BYTES {
        return Err(wrong());
    }
    bytes.resize(FIXED_BYTES + length, 0);
    let Some(rest) = bytes.get_mut(FIXED_BYTES..) else { return Err(wrong()) };
    stream.read_exact(rest).await?;
    let header = Header::try_from(bytes.as_slice()).map_err(|_| wrong())?;
    match (header.command, header.addresses) {
        (Command::Local, _) => Ok(None),
        (Command::Proxy, Addresses::IPv4(it)) => Ok(Some((it.source_address, it.source_port).into())),
        (Command::Proxy, Addresses::IPv6(it)) => Ok(Some((it.source_address, it.source_port).into())),
        (Command::Proxy, _) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use ppp::v2::{Builder, Protocol, Version};

    use super::*;

    async fn read_from(bytes: &[u8]) -> Result<(Option<SocketAddr>, usize), ErrorKind> {
        let mut rest = bytes;
        let found = read_proxy_header(&mut rest).await.map_err(|error| error.kind())?;
        Ok((found, rest.len()))
    }

    fn header(command: Command, from: &str) -> Vec<u8> {
        let addresses: (SocketAddr, SocketAddr) = (from.parse().unwrap(), "192.0.2.9:443".parse().unwrap());
        Builder::with_addresses(Version::Two | command, Protocol::Stream, addresses).build().unwrap()
    }

    #[tokio::test]
    async fn a_header_is_read_and_nothing_after_it() {
        let bytes = [header(Command::Proxy, "198.51.100.7:4711"), b"\x16\x03".to_vec()].concat();
        assert_eq!(read_from(&bytes).await, Ok((Some("198.51.100.7:4711".parse().unwrap()), 2)));
        assert_eq!(read_from(&header(Command::Local, "198.51.100.7:4711")).await, Ok((None, 0)));
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let good = header(Command::Proxy, "198.51.100.7:4711");
        for end in 0..good.len() {
            assert_eq!(read_from(&good[..end]).await, Err(ErrorKind::UnexpectedEof), "{end}");
        }
        for at in 0..14 {
            let mut bytes = good.clone();
            bytes[at] ^= 0x80;
            assert!(read_from(&bytes).await.is_err(), "{at}");
        }
        let mut long = good.clone();
        long[14..16].copy_from_slice(&[0xff, 0xff]);
        long.resize(70_000, 0);
        assert_eq!(read_from(&long).await, Err(ErrorKind::InvalidData));
        assert_eq!(read_from(b"PROXY TCP4 198.51.100.7 192.0.2.9 1 2\r\n").await, Err(ErrorKind::InvalidData));
        assert_eq!(
            read_from(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and so on").await,
            Err(ErrorKind::InvalidData)
        );
    }
}
