//! Pickles that no `state_dict` is, and the little of them that one is.

use super::*;
use proptest::prelude::*;

fn refusal(bytes: &[u8]) -> String {
    read(bytes).map(|value| value.word()).unwrap_err()
}

#[test]
fn a_call_is_refused_by_name_and_never_made() {
    // The classic: cos\nsystem\n(S'...'\ntR. in protocol 2 with a unicode argument.
    let evil = b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.";
    assert!(refusal(evil).contains("calls 'os.system', which is not run here"));
}

#[test]
fn damaged_pickles_say_so() {
    assert!(refusal(b"").contains("ends early"));
    assert!(refusal(b"\x80\x02.").contains("empty stack"));
    assert!(refusal(b"\x80\x02X\xff\xff\xff\xff.").contains("ends early"));
    assert!(refusal(b"\x80\x02t.").contains("no mark"));
    assert!(refusal(b"\x80\x02h\x07.").contains("never stored"));
    assert!(refusal(b"I1\n.").contains("0x49"));
    assert!(refusal(b"\x80\x02Nr\xff\xff\xff\xff.").contains("wildly"));
}

#[test]
fn what_is_nested_too_deeply_is_refused_before_it_overflows_the_stack() {
    let tuples = |count: usize| [b"\x80\x02N", b"\x85".repeat(count).as_slice(), b"."].concat();
    assert!(read(&tuples(MOST_DEPTH)).is_ok());
    assert!(refusal(&tuples(MOST_DEPTH + 1)).contains("nests deeper"));
    assert!(refusal(&tuples(3_000_000)).contains("nests deeper"));
    let wrapped = |first: &str, last: &str| {
        let count = 100_000;
        let program = format!("{}N{}.", first.repeat(count), last.repeat(count));
        refusal(&[b"\x80\x02", program.as_bytes()].concat())
    };
    assert!(wrapped("]", "a").contains("nests deeper"), "lists");
    assert!(wrapped("}N", "s").contains("nests deeper"), "dictionaries");
    assert!(
        wrapped("(", "t").contains("nests deeper"),
        "tuples since a mark"
    );
}

#[test]
fn memory_is_bounded_by_the_bytes_that_were_read() {
    let put = |index: u32| [b"r".as_slice(), &index.to_le_bytes()].concat();
    let puts = |first: u32, step: u32, count: u32| {
        let all = (0..count).flat_map(|number| put(first + number * step));
        [b"\x80\x02N".to_vec(), all.collect(), b".".to_vec()].concat()
    };
    assert!(read(&puts(0, 1, 3000)).is_ok());
    assert!(read(&puts(1, 3, 3000)).is_ok(), "gaps within five bytes");
    assert!(refusal(&puts(0, 200, 3000)).contains("wildly"));
    let long = |index: u32| {
        let text = [b"X\x2c\x01\x00\x00".as_slice(), &[b'a'; 300]].concat();
        [b"\x80\x02".to_vec(), text, put(index), b".".to_vec()].concat()
    };
    assert!(read(&long(256)).is_ok());
    assert!(refusal(&long(257)).contains("wildly"));
}

#[test]
fn what_is_remembered_and_grows_is_not_copied_without_end() {
    let grown = |start: &[u8], grow: &[u8], count: usize| {
        [b"\x80\x02", start, grow.repeat(count).as_slice(), b"."].concat()
    };
    for (start, grow) in [
        (b"]".as_slice(), b"q\x00Na".as_slice()),
        (b"}".as_slice(), b"q\x00NNs".as_slice()),
    ] {
        assert!(read(&grown(start, grow, 1000)).is_ok());
        let refused = refusal(&grown(start, grow, 3000));
        assert!(refused.contains("repeats itself"), "{refused}");
    }
    // As pickles are written: remembered while empty, then filled in many goes.
    let honest = [b"\x80\x02]q\x00", b"(NNNe".repeat(100_000).as_slice(), b"."].concat();
    assert!(read(&honest).is_ok());
    // A name of two long texts, and an array of many sides, again and again.
    let text = [b"X\x10\x27\x00\x00".as_slice(), &[b'a'; 10_000]].concat();
    let start = [text, b"q\x00".to_vec()].concat();
    let refused = refusal(&grown(&start, b"h\x00h\x00\x93", 200));
    assert!(refused.contains("repeats itself"), "{refused}");
    let mut sides = b"(".to_vec();
    sides.extend(b"K\x01".repeat(10_000));
    sides.extend(b"tq\x00ctorch._utils\n_rebuild_tensor_v2\nq\x01");
    sides.extend(b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000tQq\x02");
    let refused = refusal(&grown(&sides, b"h\x01(h\x02K\x00h\x00h\x00tR", 200));
    assert!(refused.contains("repeats itself"), "{refused}");
}

#[test]
fn numbers_of_every_length() {
    for (bytes, value) in [
        (&b"K\x07."[..], 7),
        (b"M\x00\x01.", 256),
        (b"J\xff\xff\xff\xff.", -1),
        (b"\x8a\x02\x00\xff.", -256),
        (b"\x8a\x00.", 0),
    ] {
        assert!(matches!(read(bytes), Ok(Value::Int(found)) if found == value));
    }
}

#[test]
fn a_float_is_a_plain_value() {
    let half = b"\x80\x02G\x3f\xe0\0\0\0\0\0\0.";
    assert!(matches!(read(half), Ok(Value::Float(0.5))));
    assert!(refusal(b"\x80\x02G\x3f\xe0.").contains("ends early"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
    }
}
