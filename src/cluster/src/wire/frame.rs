//! Frames on a peer connection: length, request id, body. A body is an encoded message.

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The largest body accepted. Senders stay far below it.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Length and request id.
const HEADER_BYTES: usize = 12;

/// A frame: the id pairs a reply with its request.
pub(crate) struct Frame {
    /// Chosen by the requester.
    pub id: u64,
    pub body: Bytes,
}

/// Reads the next frame; `None` when the peer closed the connection between two frames.
pub(crate) async fn read<R: AsyncRead + Unpin>(reader: &mut R) -> std::io::Result<Option<Frame>> {
    read_up_to(reader, BODY_BYTES_MAX).await
}

/// The same, with a smaller limit for the body.
pub(crate) async fn read_up_to<R: AsyncRead + Unpin>(
    reader: &mut R,
    bytes_max: usize,
) -> std::io::Result<Option<Frame>> {
    let mut header = [0_u8; HEADER_BYTES];
    match reader.read(&mut header[..1]).await? {
        0 => return Ok(None),
        _ => reader.read_exact(&mut header[1..]).await?,
    };
    let [l0, l1, l2, l3, id @ ..] = header;
    let body_bytes = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    if body_bytes > bytes_max {
        let error = format!("a frame of {body_bytes} bytes is over the limit of {bytes_max}");
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, error));
    }
    // The buffer grows as bytes arrive, so that a false length alone allocates little.
    let mut body = BytesMut::with_capacity(body_bytes.min(256 * 1024));
    let mut limited = reader.take(body_bytes as u64);
    while body.len() < body_bytes {
        if limited.read_buf(&mut body).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(Some(Frame { id: u64::from_be_bytes(id), body: body.freeze() }))
}

/// Writes a frame without flushing.
pub(crate) async fn write<W: AsyncWrite + Unpin>(writer: &mut W, frame: &Frame) -> std::io::Result<()> {
    let body_bytes =
        u32::try_from(frame.body.len()).ok().filter(|bytes| *bytes as usize <= BODY_BYTES_MAX).ok_or_else(
            || std::io::Error::new(std::io::ErrorKind::InvalidInput, "a frame is over the limit"),
        )?;
    let mut header = BytesMut::with_capacity(HEADER_BYTES);
    header.put_u32(body_bytes);
    header.put_u64(frame.id);
    writer.write_all(&header).await?;
    writer.write_all(&frame.body).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_frame_reads_back_and_a_closed_connection_is_none() {
        let mut wire = Vec::new();
        let frame = Frame { id: 7, body: Bytes::from_static(b"hello") };
        write(&mut wire, &frame).await.unwrap();
        let mut reader = wire.as_slice();
        let back = read(&mut reader).await.unwrap().unwrap();
        assert_eq!((back.id, back.body), (7, frame.body));
        assert!(read(&mut reader).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_lying_length_and_a_torn_frame_are_errors() {
        let mut long = Vec::from(u32::MAX.to_be_bytes());
        long.extend_from_slice(&[0; 8]);
        assert!(read(&mut long.as_slice()).await.is_err());
        let mut wire = Vec::new();
        write(&mut wire, &Frame { id: 1, body: Bytes::from_static(b"hello") }).await.unwrap();
        wire.pop();
        assert!(read(&mut wire.as_slice()).await.is_err());
    }
}
