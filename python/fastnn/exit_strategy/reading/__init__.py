"""Reading what people write: amounts as text, and files of unknown encoding and separator."""
