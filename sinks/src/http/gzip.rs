//! Bodies of requests, compressed.

use std::io::Write as _;

use flate2::write::GzEncoder;

/// A smaller body is not compressed, in bytes.
const MIN_GZIP_BYTES: usize = 1024;

/// Compresses a body into another buffer. `false`: it is not worth it, or did not work.
pub(crate) fn compress(body: &[u8], out: &mut Vec<u8>) -> bool {
    if body.len() < MIN_GZIP_BYTES {
        return false;
    }
    let mut buffer = std::mem::take(out);
    buffer.clear();
    let mut encoder = GzEncoder::new(buffer, flate2::Compression::fast());
    let compressed = encoder.write_all(body).and_then(|()| encoder.finish());
    // Writing to memory does not fail; plain is good, too.
    compressed.map(|buffer| *out = buffer).is_ok()
}
