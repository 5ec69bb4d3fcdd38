//! Instructions for a tool: public ones in its arguments, secret ones through its standard input.
//!
//! FFmpeg reads further options from a preset file (`-fpre`), Shaka Packager further flags from a
//! flag file (`--flagfile`), and FFmpeg's HLS writer its key-info (`-hls_key_info_file`). Each file
//! is `/dev/stdin`, a pipe that the key is written into.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::streams::Stream;
use super::{ScrambleError, StreamKeys};
use crate::FetchedKey;
use keymoot_crypto::random_bytes;
use keymoot_drm::ProtectionScheme;
use keymoot_model::KeyUri;

/// Room for the flags of two keys.
const SECRET_BYTES_MAX: usize = 512;

/// Arguments that anyone may see, and the text for the pipe.
pub(super) struct Instructions {
    pub(super) arguments: Vec<OsString>,
    pub(super) secret: Zeroizing<String>,
    /// The keys in the tool's format; they are removed from the tool's messages before they are shown.
    pub(super) key_texts: Vec<Zeroizing<String>>,
    /// The directory the tool runs in; `None` means this process's.
    pub(super) directory: Option<PathBuf>,
}

impl Instructions {
    pub(super) fn ffmpeg(input: &Path, output: &Path, key: &FetchedKey) -> Self {
        let mut arguments = words(&["-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-i"]);
        // With the protocol prefix, no path is taken for a URL or an option.
        arguments.push(prefixed("file:", input));
        arguments.extend(words(&["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-fpre", "/dev/stdin"]));
        arguments.extend(words(&["-f", "mp4"]));
        arguments.push(prefixed("file:", output));
        let key_text = key.key.to_hex();
        let kid = key.kid.to_hex();
        let secret = format!(
            "encryption_scheme=cenc-aes-ctr\nencryption_key={}\nencryption_kid={kid}\n",
            key_text.as_str()
        );
        Self { arguments, secret: Zeroizing::new(secret), key_texts: vec![key_text], directory: None }
    }

    /// Key-info has three lines: the URI for players, the key for FFmpeg itself, the IV. The key is
    /// in the second as a `data:` URL, so it is in no file. FFmpeg takes `%` in the segments' path
    /// for the place of a number, so it runs in the output directory and gets bare names.
    pub(super) fn hls(
        input: &Path,
        directory: &Path,
        uri: &KeyUri,
        key: &FetchedKey,
    ) -> Result<Self, ScrambleError> {
        let failed = |path: &Path, source| ScrambleError::Output { path: path.to_owned(), source };
        let iv = random_bytes::<16>().map_err(|error| failed(directory, io::Error::other(error)))?;
        let input = std::path::absolute(input)
            .map_err(|source| ScrambleError::Input { path: input.to_owned(), source })?;
        let mut arguments = words(&["-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-i"]);
        arguments.push(prefixed("file:", &input));
        arguments.extend(words(&["-map", "0:v?", "-map", "0:a?", "-c", "copy", "-f", "hls"]));
        arguments.extend(words(&["-hls_time", "6", "-hls_playlist_type", "vod"]));
        arguments.extend(words(&["-hls_key_info_file", "/dev/stdin"]));
        arguments.extend(words(&["-hls_segment_filename", "segment-%05d.ts", "playlist.m3u8"]));
        let key_text = key.key.to_base64();
        let secret = format!(
            "{}\ndata:application/octet-stream;base64,{}\n{}\n",
            uri.of(&key.kid),
            key_text.as_str(),
            base16ct::lower::encode_string(&iv)
        );
        let directory = Some(directory.to_owned());
        Ok(Self { arguments, secret: Zeroizing::new(secret), key_texts: vec![key_text], directory })
    }

    pub(super) fn packager(
        (input, scheme): (&Path, ProtectionScheme),
        directory: &Path,
        streams: &[Stream],
        keys: &StreamKeys,
    ) -> Self {
        let keys = keys.by_kind();
        let mut arguments: Vec<OsString> = streams
            .iter()
            .map(|stream| {
                let mut descriptor = prefixed("in=", input);
                descriptor.push(format!(",stream={},", stream.index));
                if keys.len() > 1 {
                    descriptor.push(format!("drm_label={},", stream.kind));
                }
                descriptor.push("output=");
                descriptor.push(directory.join(stream.file_name()));
                descriptor
            })
            .collect();
        arguments.extend(words(&["--enable_raw_key_encryption", "--flagfile=/dev/stdin"]));
        arguments.extend(words(&["--clear_lead", "0", "--protection_scheme", scheme.name(), "--mpd_output"]));
        arguments.push(directory.join("manifest.mpd").into_os_string());
        let systems = keys.iter().flat_map(|(_, key)| &key.pssh);
        let boxes: String =
            systems.map(|system| base16ct::lower::encode_string(&system.pssh_box())).collect();
        if !boxes.is_empty() {
            arguments.extend(words(&["--pssh", &boxes]));
        }
        let key_texts: Vec<_> = keys.iter().map(|(_, key)| key.key.to_hex()).collect();
        // The buffer holds everything from the start: growing would leave copies of keys behind.
        let mut secret = Zeroizing::new(String::with_capacity(SECRET_BYTES_MAX));
        secret.push_str("--keys=");
        for (at, ((kind, key), text)) in keys.iter().zip(&key_texts).enumerate() {
            secret.push_str(if at > 0 { "," } else { "" });
            secret.push_str(&format!("label={kind}:key_id={}:key=", key.kid.to_hex()));
            secret.push_str(text);
            if let Some(iv) = key.iv {
                secret.push_str(&format!(":iv={}", base16ct::lower::encode_string(&iv)));
            }
        }
        secret.push('\n');
        Self { arguments, secret, key_texts, directory: None }
    }
}

/// Shaka Packager's stream descriptors are lists with commas, so a path must not contain one.
pub(super) fn check_packager_path(path: &Path) -> Result<(), ScrambleError> {
    if path.as_os_str().as_encoded_bytes().contains(&b',') {
        return Err(ScrambleError::Comma(path.to_owned()));
    }
    Ok(())
}

fn words(texts: &[&str]) -> Vec<OsString> {
    texts.iter().map(OsString::from).collect()
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ContentTrack;
    use keymoot_crypto::ContentKey;
    use keymoot_drm::{SystemData, SystemId};
    use keymoot_model::{ContentId, Kid};

    const KEY_HEX: &str = "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf";

    fn key() -> FetchedKey {
        FetchedKey {
            of: ContentTrack::from(&ContentId::new("film").unwrap()),
            iv: None,
            kid: Kid::from_bytes([0x11; 16]),
            key: ContentKey::from_bytes(&std::array::from_fn(|i| 0xa0 + u8::try_from(i).unwrap())),
            pssh: vec![SystemData { uuid: SystemId::WIDEVINE, data: vec![1, 2] }],
            license_url: None,
        }
    }

    #[test]
    fn the_key_is_in_the_pipe_and_in_no_argument() {
        let streams = [Stream { index: 1, kind: "audio" }];
        let (input, output) = (Path::new("/in.mp4"), Path::new("/out"));
        for instructions in [
            Instructions::ffmpeg(input, output, &key()),
            Instructions::packager((input, ProtectionScheme::Cenc), output, &streams, &key().into()),
        ] {
            let open = format!("{:?}", instructions.arguments).to_lowercase();
            assert!(!open.contains(KEY_HEX) && !open.contains("oKGio6Sl"), "{open}");
            assert!(instructions.secret.contains(KEY_HEX));
            assert!(instructions.secret.contains(&"11".repeat(16)));
            assert_eq!(instructions.key_texts[0].as_str(), KEY_HEX);
        }
    }

    #[test]
    fn key_info_has_the_players_uri_the_key_and_an_iv_and_goes_through_the_pipe() {
        let uri = KeyUri::new("https://k/{kid}").unwrap();
        let made = Instructions::hls(Path::new("in.mp4"), Path::new("/o%d"), &uri, &key()).unwrap();
        let open = format!("{:?}", made.arguments);
        assert!(!open.contains("oKGio6Sl") && !open.to_lowercase().contains(KEY_HEX), "{open}");
        assert!(open.contains("in.mp4") && !open.contains("file:in.mp4"), "the input is absolute: {open}");
        assert!(!open.contains("o%d") && made.directory.as_deref() == Some(Path::new("/o%d")));
        let lines: Vec<&str> = made.secret.lines().collect();
        assert_eq!(lines[0], "https://k/11111111-1111-1111-1111-111111111111");
        assert_eq!(lines[1], "data:application/octet-stream;base64,oKGio6SlpqeoqaqrrK2urw==");
        assert_eq!((lines[2].len(), lines.len()), (32, 3));
        assert_eq!(made.key_texts[0].as_str(), "oKGio6SlpqeoqaqrrK2urw==");
    }

    #[test]
    fn a_path_like_an_option_or_a_url_stays_a_path() {
        let instructions = Instructions::ffmpeg(Path::new("-y"), Path::new("http:x.mp4"), &key());
        let arguments: Vec<_> = instructions.arguments.iter().filter_map(|a| a.to_str()).collect();
        assert!(arguments.contains(&"file:-y") && arguments.last() == Some(&"file:http:x.mp4"));
        assert!(check_packager_path(Path::new("a,b=c.mp4")).is_err());
    }

    #[test]
    fn the_packager_gets_a_file_for_each_stream_and_every_pssh_box() {
        let streams = [Stream { index: 0, kind: "video" }, Stream { index: 2, kind: "audio" }];
        let media = (Path::new("i.mp4"), ProtectionScheme::Cenc);
        let instructions = Instructions::packager(media, Path::new("o"), &streams, &key().into());
        let arguments: Vec<_> = instructions.arguments.iter().filter_map(|a| a.to_str()).collect();
        assert_eq!(arguments[0], "in=i.mp4,stream=0,output=o/video-0.mp4");
        assert_eq!(arguments[1], "in=i.mp4,stream=2,output=o/audio-2.mp4");
        let boxes = arguments.last().unwrap();
        assert!(boxes.starts_with("0000002270737368") && boxes.ends_with("000000020102"), "{boxes}");
    }

    #[test]
    fn a_key_for_each_kind_has_its_label_and_the_iv_of_its_licenses() {
        let streams = [Stream { index: 0, kind: "video" }, Stream { index: 2, kind: "audio" }];
        let audio = FetchedKey { kid: Kid::from_bytes([0x22; 16]), iv: Some([3; 16]), ..key() };
        let keys = StreamKeys { video: FetchedKey { iv: Some([2; 16]), ..key() }, audio: Some(audio) };
        let media = (Path::new("i.mp4"), ProtectionScheme::Cbcs);
        let made = Instructions::packager(media, Path::new("o"), &streams, &keys);
        let arguments: Vec<_> = made.arguments.iter().filter_map(|a| a.to_str()).collect();
        assert_eq!(arguments[0], "in=i.mp4,stream=0,drm_label=video,output=o/video-0.mp4");
        assert_eq!(arguments[1], "in=i.mp4,stream=2,drm_label=audio,output=o/audio-2.mp4");
        assert!(arguments.windows(2).any(|pair| pair == ["--protection_scheme", "cbcs"]), "{arguments:?}");
        let [one, two, four] = ["11", "22", "02"].map(|byte| byte.repeat(16));
        let three = "03".repeat(16);
        assert_eq!(
            *made.secret,
            format!(
                "--keys=label=video:key_id={one}:key={KEY_HEX}:iv={four},label=audio:key_id={two}:key={KEY_HEX}:iv={three}\n"
            )
        );
        assert!(made.secret.len() <= SECRET_BYTES_MAX);
    }
}
