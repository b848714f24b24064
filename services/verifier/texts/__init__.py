"""Pure parts of the text checks: words and grams, sentences, languages."""
