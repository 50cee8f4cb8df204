"""The page that is sent to a centre about its data: what stands on it once (content), as HTML and as PDF."""
