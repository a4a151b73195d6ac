//! The order of strips in their names.

use std::cmp::Ordering;
use std::path::Path;

/// Order of files whose names count: numbers in names by their value, so that `s2` is before `s10`, the
/// rest letter by letter. Folders compare before what they hold.
pub fn natural_order(a: &Path, b: &Path) -> Ordering {
    let names = |path: &Path| -> Vec<Vec<u8>> {
        path.iter()
            .map(|name| name.as_encoded_bytes().to_owned())
            .collect()
    };
    let (names_a, names_b) = (names(a), names(b));
    let differing = names_a
        .iter()
        .zip(&names_b)
        .map(|(a, b)| by_value(a, b))
        .find(|order| order.is_ne());
    differing
        .unwrap_or_else(|| names_a.len().cmp(&names_b.len()))
        .then_with(|| a.cmp(b))
}

/// `a1` and `a01` compare as equal here.
fn by_value(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while let ([first_a, ..], [first_b, ..]) = (a, b) {
        let order = if first_a.is_ascii_digit() && first_b.is_ascii_digit() {
            let (number_a, number_b) = (number(&mut a), number(&mut b));
            number_a
                .len()
                .cmp(&number_b.len())
                .then(number_a.cmp(number_b))
        } else {
            let order = first_a.cmp(first_b);
            (a, b) = (&a[1..], &b[1..]);
            order
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Takes the digits at the front and gives them without leading zeros.
fn number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let digits = |text: &[u8], wanted: fn(&u8) -> bool| {
        text.iter()
            .position(|byte| !wanted(byte))
            .unwrap_or(text.len())
    };
    let (whole, rest) = text.split_at(digits(text, u8::is_ascii_digit));
    *text = rest;
    &whole[digits(whole, |&byte| byte == b'0')..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_and_words_are_sorted() {
        let sorted = [
            "a",
            "a/s9.png",
            "a/s10.png",
            "a2/x",
            "a10/x",
            "s0.png",
            "s1.png",
            "s001a.png",
            "s2.png",
            "s10.png",
            "s10_2.png",
            "s10_11.png",
            "s99999999999999999999998.png",
            "s99999999999999999999999.png",
            "t.png",
        ];
        let mut mixed: Vec<&Path> = sorted.iter().rev().map(Path::new).collect();
        mixed.sort_by(|a, b| natural_order(a, b));
        assert_eq!(mixed, sorted.map(Path::new));
        // Names of one value still have an order.
        assert_eq!(
            natural_order(Path::new("s01"), Path::new("s1")),
            Ordering::Less
        );
    }
}
