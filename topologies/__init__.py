"""Translate: foreign topology descriptions to and from Fabric, and the catalogue of reference fabrics."""
