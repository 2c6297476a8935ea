"""From a trained and tested cell to a folder that can be shipped."""
