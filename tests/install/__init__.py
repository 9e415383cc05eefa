"""Install on a real systemd: what is promised to the administrator, tried from outside."""
