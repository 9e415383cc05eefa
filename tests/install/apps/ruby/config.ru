# A Rack application as a worker.
run lambda { |env|
  text =
    case env["PATH_INFO"]
    when "/health" then "well"
    when "/slow" then File.read("#{ENV.fetch("STATE_DIRECTORY")}/go")
    else "ruby in #{ENV["RACK_ENV"]}"
    end
  [200, { "content-type" => "text/plain" }, [text]]
}
