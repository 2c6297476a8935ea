"""ADD (Le & Woo, AAAI 2022) as a pipeline: everything that the scripts in stages/ do."""
