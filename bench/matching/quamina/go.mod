module busway/bench/quamina

go 1.23

require github.com/timbray/quamina v0.2.0
