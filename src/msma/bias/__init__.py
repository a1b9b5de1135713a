"""Find social bias by scale: association tests, language-model tests, where it lives, what taking it out costs."""
