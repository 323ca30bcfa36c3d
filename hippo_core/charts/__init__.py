"""Charts of studies as values, whatever draws them: the SDK with matplotlib and plotly, the dashboard as SVG."""
