"""What operators see in a browser: pages rendered here, in their language, without any build."""
