"""Reports as terminal text, Markdown, HTML and data, in English and Chinese."""
