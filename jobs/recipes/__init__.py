"""Recipes: one small file each, with one function of the same name that returns a Config."""
