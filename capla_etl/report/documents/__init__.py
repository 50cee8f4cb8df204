"""The printed tables as DOCX, XLSX, LaTeX and HTML."""
