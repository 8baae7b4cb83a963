//! `moqt decode`: what it prints, and how it ends.

use std::process::{Command, Stdio};

/// Exit status, stdout and stderr.
fn decode(args: &[&str]) -> (i32, String, String) {
    decode_from(Stdio::null(), args)
}

fn decode_from(input: impl Into<Stdio>, args: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moqt"));
    let output = command.arg("decode").args(args).stdin(input).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_fetch_stream_with_end_of_range_markers_is_explained() {
    let stream = "05 04 1c 01 00 80 02 6162 408c 07 0c 410c 07 0f 1c 08 00 80 01 7a";
    let (status, out, err) = decode(&["uni", stream]);
    let expected = "\
FETCH_HEADER, request 4
     0  05                       Stream Type                 5
     1  04                       Request ID                  4
object 0 of group 1, 2 bytes
     2  1c                       Serialization Flags         28
     3  01                       Group ID                    1
     4  00                       Object ID                   0
     5  80                       Publisher Priority          128
     6  02                       Object Payload Length       2
     7  61 62                    Object Payload              \"ab\"
end of range: no object exists up to object 12 of group 7
     9  40 8c                    Serialization Flags         140
    11  07                       Group ID                    7
    12  0c                       Object ID                   12
end of range: it is unknown whether objects exist up to object 15 of group 7
    13  41 0c                    Serialization Flags         268
    15  07                       Group ID                    7
    16  0f                       Object ID                   15
object 0 of group 8, 1 bytes
    17  1c                       Serialization Flags         28
    18  08                       Group ID                    8
    19  00                       Object ID                   0
    20  80                       Publisher Priority          128
    21  01                       Object Payload Length       1
    22  7a                       Object Payload              \"z\"
";
    assert_eq!((status, out.as_str(), err.as_str()), (0, expected, ""));
}

#[test]
fn a_subscribe_with_a_bad_parameter_is_pointed_at() {
    let (status, out, err) = decode(&["control", "03 000a 02 01 0161 0162 01 21 01 09"]);
    let expected = "\
error: SUBSCRIPTION_FILTER at byte 12: 0x9 has no meaning in this draft
     0  03 00 0a 02 01 01 61 01 62 01 21 01 09
                                            ^^
the session is closed with PROTOCOL_VIOLATION (0x3)
";
    assert_eq!(status, 1);
    assert!(out.ends_with(expected), "{out}");
    assert_eq!(err, "moqt: SUBSCRIPTION_FILTER at byte 12: 0x9 has no meaning in this draft\n");
}

#[test]
fn a_file_is_read_as_bytes_or_as_digits() {
    let directory = std::env::temp_dir().join(format!("moqt-decode-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for (draft, kind, digits) in [
        ("14", "datagram", "00 07 03 05 80 6869"),
        ("16", "datagram", "00 07 03 05 80 6869"),
        ("16", "uni", "05 04 1c 01 00 80 02 6162 408c 07 0c 410c 07 0f 1c 08 00 80 01 7a"),
        ("16", "control", "03 000a 02 01 0161 0162 01 21 01 09"),
    ] {
        let told = decode(&["--draft", draft, kind, digits]);
        let digits: String = digits.split_whitespace().collect();
        let bytes: Vec<_> = digits
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect();
        for (name, content) in [("bytes", bytes), ("digits", format!("{digits}\n").into_bytes())] {
            let file = directory.join(name);
            std::fs::write(&file, content).unwrap();
            let of_file = decode(&["--draft", draft, kind, file.to_str().unwrap()]);
            assert_eq!(of_file, told, "{kind} as {name}, draft {draft}");
            let of_input = decode_from(std::fs::File::open(file).unwrap(), &["--draft", draft, kind, "-"]);
            assert_eq!(of_input, told, "{kind} as {name} on standard input, draft {draft}");
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn input_that_is_neither_hexadecimal_nor_a_file_is_refused() {
    for (args, named) in [
        (&["control", "no-such-file"][..], "`no-such-file`"),
        (&["uni", "030"], "`030`"),
        (&["--draft", "15", "uni", "00"], "write 14 or 16"),
    ] {
        let (status, out, err) = decode(args);
        assert_eq!((status, out.as_str(), err.lines().count()), (2, "", 1), "{args:?}: {err}");
        assert!(err.contains(named), "{err}");
    }
}
