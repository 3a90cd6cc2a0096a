"""What becomes of records: pasted samples, rejections tried again, values that a later schema gives a column."""
