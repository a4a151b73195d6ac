//! Which files of a folder are pictures to read, told by their names.

use std::path::Path;

/// Endings of pictures' names.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "tif", "tiff", "bmp"];

/// End of the names of annotated pictures that `inspect` writes; folders are read without them.
pub const ANNOTATED: &str = ".inspected.png";

/// End of the names of anomaly maps that `inspect` writes; folders are read without them too.
pub const MAP: &str = ".map.png";

/// Whether a file found in a folder is a picture to read: it ends as one, is not hidden, and is not what `inspect`
/// wrote there.
pub fn is_picture(path: &Path) -> bool {
    let known = path
        .extension()
        .is_some_and(|end| ENDINGS.iter().any(|known| end.eq_ignore_ascii_case(known)));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let ours = name.ends_with(ANNOTATED) || name.ends_with(MAP);
    known && !ours && !is_hidden(path)
}

/// Whether a file or folder is hidden: other systems leave files with a dot in front beside pictures.
pub fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_told_by_their_names() {
        for (name, expected) in [
            ("a/b.png", true),
            ("a/b.JPeG", true),
            ("b.map.tif", true),
            ("map.png", true),
            ("b.txt", false),
            ("png", false),
            ("._b.png", false),
            (".png", false),
            ("b.inspected.png", false),
            ("b.map.png", false),
            (".hidden/b.png", true),
        ] {
            assert_eq!(is_picture(Path::new(name)), expected, "{name}");
        }
        assert!(is_hidden(Path::new("a/.hidden")));
    }
}
