<?php
// A PHP program as a worker, with a session.
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/health':
        echo 'well';
        break;
    case '/slow':
        echo file_get_contents(getenv('STATE_DIRECTORY') . '/go');
        break;
    case '/count':
        session_start();
        $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
        echo preg_replace('/^/', 'request ', (string) $_SESSION['count']);
        break;
    case '/mistake':
        trigger_error('a mistake', E_USER_WARNING);
        echo 'went on';
        break;
    default:
        echo 'php';
}
