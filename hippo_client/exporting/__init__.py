"""Studies in the formats of others: tables as CSV, Parquet and for pandas; Optuna's storages; TensorBoard's runs."""
