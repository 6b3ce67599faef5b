"""The project package: composition and the small kernel that the three apps share."""
