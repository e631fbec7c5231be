"""What a fix leaves behind, in words, on a page and on a terminal."""
