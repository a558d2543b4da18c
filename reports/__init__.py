"""Render a Plan for people; never solve."""
