"""One operation per action on enrichments."""
