//! The bytes of a file to import, decompressed where they are gzip: what they are is told by the bytes, not by the name.

use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Opens a file; gives its length, too.
///
/// # Errors
/// When it cannot be read.
pub fn open(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    Ok((file, bytes))
}

/// # Errors
/// When the first bytes cannot be read.
pub fn decompressed<'a>(mut input: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut head = Vec::with_capacity(GZIP.len());
    input.by_ref().take(GZIP.len() as u64).read_to_end(&mut head)?;
    let is_gzip = head == GZIP;
    let input = BufReader::new(Cursor::new(head).chain(input));
    Ok(if is_gzip { Box::new(Gunzip(MultiGzDecoder::new(input))) } else { Box::new(input) })
}

/// Says what is wrong with a file that is not as gzip writes it.
struct Gunzip<R>(R);

impl<R: Read> Read for Gunzip<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(|error| {
            let problem = match error.kind() {
                ErrorKind::UnexpectedEof => "the gzip file is cut: its end is not there".to_owned(),
                ErrorKind::InvalidInput | ErrorKind::InvalidData => format!("the gzip file is damaged: {error}"),
                _ => return error,
            };
            io::Error::new(error.kind(), problem)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        let mut text = String::new();
        let mut input = decompressed(bytes).expect("bytes in memory can be read");
        input.read_to_string(&mut text).map(|_| text).map_err(|error| error.to_string())
    }

    #[test]
    fn gzip_is_known_by_its_bytes_and_wherever_it_is_cut_that_is_said() {
        let text = "a,b\n1,2\n".repeat(1_000);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).expect("memory takes it");
        let gzip = encoder.finish().expect("memory takes it");
        assert_eq!(read(&gzip).as_ref(), Ok(&text));
        assert_eq!(read(&[gzip.as_slice(), &gzip].concat()), Ok(text.repeat(2)), "members follow one another");
        for plain in [text.as_str(), "a", ""] {
            assert_eq!(read(plain.as_bytes()).as_deref(), Ok(plain));
        }
        for end in 2..gzip.len() {
            let error = read(&gzip[..end]).expect_err("it is cut");
            assert!(error.contains("is cut"), "at {end}: {error}");
        }
        let mut damaged = gzip;
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0xff;
        assert!(read(&damaged).is_err());
    }
}
