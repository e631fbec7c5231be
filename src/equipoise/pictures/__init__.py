"""Pictures: pixels in, numbers out. Decoding, quality, appearance, and the windows of a picture; a file each."""
